import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withLock } from '../../../src/attachments/exclusive-lock.ts';
import { lookUpProcess } from '../../../src/attachments/process-identity.ts';

let folder: string;
let lockFile: string;
const LONG_MS = 60_000;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-lock-'));
  lockFile = path.join(folder, 'web.lock');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('an exclusive lock', () => {
  test('lets in one at a time, and all of them in the end', async () => {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      inside -= 1;
    };
    const results = await Promise.all(Array.from({ length: 20 }, () => withLock(lockFile, LONG_MS, work)));
    expect(most).toBe(1);
    expect(results.every((result) => result !== undefined)).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });

  test('is given back when the work fails', async () => {
    const failing = withLock(lockFile, LONG_MS, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await withLock(lockFile, 0, async () => 1)).toEqual({ value: 1 });
  });

  test('of a living process is respected until the deadline', async () => {
    const self = await lookUpProcess(process.pid);
    await writeFile(lockFile, JSON.stringify({ pid: process.pid, startedAt: self?.startedAt }));
    expect(await withLock(lockFile, 100, async () => 1)).toBeUndefined();
    expect(await readdir(folder)).toEqual(['web.lock']);
  });

  test.each([
    [
      'a process whose number is used by another one by now',
      JSON.stringify({ pid: process.pid, startedAt: 'long ago' }),
    ],
    ['a torn write', '{"pid":'],
    ['nobody', 'null'],
  ])('of %s is broken', async (_what, content) => {
    await writeFile(lockFile, content);
    expect(await withLock(lockFile, LONG_MS, async () => 1)).toEqual({ value: 1 });
    expect(await readdir(folder)).toEqual([]);
  });

  test('that is broken by many at once still lets in one at a time', async () => {
    await writeFile(lockFile, JSON.stringify({ pid: process.pid, startedAt: 'long ago' }));
    let inside = 0;
    const counts = await Promise.all(
      Array.from({ length: 10 }, () =>
        withLock(lockFile, LONG_MS, async () => {
          inside += 1;
          const count = inside;
          await new Promise((resolve) => {
            setTimeout(resolve, 5);
          });
          inside -= 1;
          return count;
        }),
      ),
    );
    expect(counts.map((count) => count?.value)).toEqual(Array.from({ length: 10 }, () => 1));
  });
});
