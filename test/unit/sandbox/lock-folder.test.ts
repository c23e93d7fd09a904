import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFolder } from '../../../sandbox/lock-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), 'lock-folder-')), 'environment');
});
afterEach(() => rm(path.dirname(folder), { recursive: true, force: true }));

test('many who want the same folder get it one after another', async () => {
  let holders = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    const lock = await lockFolder(folder, {});
    holders += 1;
    most = Math.max(most, holders);
    await new Promise((resolve) => setImmediate(resolve));
    holders -= 1;
    await lock.release();
  };
  await Promise.all([work(), work(), work(), work()]);
  expect(most).toBe(1);
  expect(existsSync(`${folder}.lock`)).toBe(false);
});

test('a lock whose holder has died is taken over, by one of all who wait', async () => {
  const dead = spawn(process.execPath, ['-e', '']);
  await once(dead, 'exit');
  await writeFile(`${folder}.lock`, String(dead.pid));
  const locks: string[] = [];
  const first = lockFolder(folder, {}).then((lock) => (locks.push('taken'), lock));
  const second = lockFolder(folder, {}).then((lock) => (locks.push('taken'), lock));
  const winner = await Promise.race([first, second]);
  expect(locks).toHaveLength(1);
  await winner.release();
  await Promise.all([first, second].map(async (lock) => (await lock).release()));
});

test('who waits is told so once and can give up', async () => {
  const lock = await lockFolder(folder, {});
  const controller = new AbortController();
  let told = 0;
  const waiting = lockFolder(folder, {
    signal: controller.signal,
    onWait: () => {
      told += 1;
      controller.abort();
    },
  });
  await expect(waiting).rejects.toThrow(/abort/i);
  expect(told).toBe(1);
  await lock.release();
});
