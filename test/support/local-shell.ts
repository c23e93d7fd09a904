import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promiseWithResolvers } from '../../src/core/waiting.ts';
import { createReportFilter, remoteCommand } from '../../src/remote/remote-shell.ts';
import type {
  RemoteEnd,
  RemoteProcess,
  RemoteProgram,
  RemoteShell,
  RemoteStart,
} from '../../src/remote/remote-shell.ts';
import { streamsOf } from '../../src/remote/ssh-shell.ts';

export interface LocalShellOptions {
  /** The working directory of the run. */
  readonly cwd: string;
  /** The folder that has all programs of its image. Defaults to this computer's. */
  readonly path?: string;
  /** Defaults to `sh`. */
  readonly shell?: readonly [string, ...string[]];
  /** Called for each program before it starts; returns what is started in its place. */
  readonly onStart?: (program: RemoteProgram) => RemoteProgram;
}

/** Creates a shell like that of a job, on this computer: for what a real sshd adds nothing to. */
export function createLocalShell(
  options: LocalShellOptions,
): RemoteShell & { readonly running: Set<Promise<unknown>> } {
  const { cwd, path, shell: [shell, ...words] = ['sh'], onStart } = options;
  const running = new Set<Promise<unknown>>();
  const start = (given: RemoteProgram, { signal, ...files }: RemoteStart): RemoteProcess => {
    const { stdin = 'pipe', stdout = 'pipe' } = files;
    const { script, data } = onStart?.(given) ?? given;
    // Not in the environment: /etc/profile sets it.
    const program = { script: path === undefined ? script : `PATH='${path}'; export PATH\n${script}`, data };
    const mark = 'f00d';
    const child = spawn(shell, [...words, '-c', remoteCommand(program, mark)], {
      cwd,
      env: { PATH: process.env['PATH'], HOME: cwd },
      stdio: [stdin, stdout, 'pipe'],
    });
    const streams = streamsOf(child);
    const ended = promiseWithResolvers<RemoteEnd>();
    let exit: RemoteEnd | undefined;
    const stderr = createReportFilter(mark, ([what, code]) => {
      if (what === 'exit') exit = { kind: 'exited', exitCode: Number(code) };
      if (exit !== undefined && stdout === 'pipe') ended.resolve(exit);
    });
    streams.stderr.pipe(stderr);
    for (const stream of Object.values(streams)) stream.on('error', () => undefined);
    const closed = once(child, 'close').then(() => ended.resolve(exit ?? { kind: 'lost', message: 'closed' }));
    running.add(closed);
    void closed.then(() => running.delete(closed));
    // As for a connection that is closed: the program goes on, with nobody at the other end of its pipes.
    const kill = (): void => {
      ended.resolve({ kind: 'lost', message: 'killed' });
      for (const stream of Object.values(streams)) stream.destroy();
    };
    if (signal.aborted) kill();
    else signal.addEventListener('abort', kill, { once: true });
    void closed.then(() => signal.removeEventListener('abort', kill));
    return {
      ...streams,
      stderr,
      leader: Promise.resolve(undefined),
      ended: ended.promise,
      kill,
    };
  };
  return { start, running };
}

/** The programs that `copy` uses in a run, and those that start every program. */
const PROGRAMS = [
  'sh',
  'base64',
  'cat',
  'find',
  'grep',
  'head',
  'mkdir',
  'mv',
  'readlink',
  'rm',
  'sed',
  'sha256sum',
  'stat',
  'tar',
  'tr',
  'wc',
  'xargs',
];

/** Creates a folder for PATH, like that of an image that lacks some programs. */
export function folderWithout(folder: string, missing: readonly string[]): string {
  for (const name of PROGRAMS.filter((one) => !missing.includes(one)))
    symlinkSync(findProgram(name), join(folder, name));
  return folder;
}

function findProgram(name: string): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (found === undefined) throw new Error(`This computer has no ${name}.`);
  return found;
}
