import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Executable } from '../../src/dstack/run/runner.ts';
import { installedPython } from './installed-dstack.ts';
import { fixture, inRepository } from './paths.ts';

/** The Python side of the worker. */
export const workerFiles = inRepository('worker');

/** A stand-in for dstack in its own folder, which keeps a journal of what really ran. */
export interface FakeDstack {
  readonly folder: string;
  readonly executable: Executable;
  /** Returns the environment for its commands; `deed` is what they do. */
  env(deed?: string, more?: Readonly<Record<string, string>>): Record<string, string>;
  /** Returns the words in the journal so far, each with the process that wrote it. */
  journal(): Promise<readonly { readonly word: string; readonly pid: number }[]>;
  count(word: string): Promise<number>;
  /** Waits for a word in the journal, and returns its entry. */
  noted(word: string | RegExp): Promise<{ readonly word: string; readonly pid: number }>;
  /** Lets `wait_for_leave` continue. */
  giveLeave(): Promise<void>;
  remove(): Promise<void>;
}

/** Creates a fake dstack with the interpreter of the installed one. */
export async function makeFakeDstack(): Promise<FakeDstack> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-warm-'));
  const script = path.join(folder, 'dstack');
  const journalFile = path.join(folder, 'journal');
  await copyFile(fixture('warm', 'fake_cli.py'), path.join(folder, 'fake_cli.py'));
  await writeFile(script, `#!${installedPython}\nfrom fake_cli import main\nmain()\n`);
  await chmod(script, 0o755);
  const journal: FakeDstack['journal'] = async () => {
    const text = await readFile(journalFile, 'utf8').catch(() => '');
    return [...text.matchAll(/^(\S+) (\d+)$/gm)].map(([, word = '', pid]) => ({ word, pid: Number(pid) }));
  };
  return {
    folder,
    executable: { path: script, interpreter: installedPython, tried: [] },
    env: (deed = 'answer', more = {}) => ({
      FAKE_DEED: deed,
      FAKE_JOURNAL: journalFile,
      FAKE_LEAVE: path.join(folder, 'leave'),
      ...more,
    }),
    journal,
    count: async (word) => (await journal()).filter((entry) => entry.word === word).length,
    async noted(word) {
      for (;;) {
        const found = (await journal()).find((entry) =>
          typeof word === 'string' ? entry.word === word : word.test(entry.word),
        );
        if (found !== undefined) return found;
        await delay(10);
      }
    },
    giveLeave: () => writeFile(path.join(folder, 'leave'), ''),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Returns whether a process runs and isn't a zombie, as orphans stay in a container without an init. */
export async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status !== undefined && !/\) [ZX] /.test(status);
}

/** Waits for a process to end. If it doesn't, the test times out. */
export async function untilGone(pid: number): Promise<void> {
  while (await isRunning(pid)) await delay(10);
}

/** Returns the running children of a process. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const all = text.trim().split(' ').filter(Boolean).map(Number);
  const running = await Promise.all(all.map(isRunning));
  return all.filter((_, index) => running[index]);
}

/** Waits until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(10);
}
