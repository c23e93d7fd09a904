import { EventEmitter, once } from 'node:events';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { isLocked, startTimeOf, withLock } from '../../../src/core/exclusive-lock.mjs';
import { emptyFolder } from '../../support/temporary-folders.ts';

let folder: string;
let lockFile: string;
const LONG = { deadlineMs: 60_000 };
const one = (): Promise<number> => Promise.resolve(1);
/** A lock whose process has ended: its id belongs to another process by now. */
const ABANDONED = JSON.stringify({ pid: process.pid, startedAt: 'long ago' });

beforeEach(() => {
  folder = emptyFolder();
  lockFile = path.join(folder, 'web.lock');
});

/** Takes the lock as many times at once, and returns how many were inside with each. */
async function countInside(times: number, pauseMs: number): Promise<(number | undefined)[]> {
  let inside = 0;
  const results = await Promise.all(
    Array.from({ length: times }, () =>
      withLock(lockFile, LONG, async () => {
        inside += 1;
        const count = inside;
        await pause(pauseMs);
        inside -= 1;
        return count;
      }),
    ),
  );
  return results.map((result) => result?.value);
}

const holdLock = async (): Promise<void> =>
  writeFile(lockFile, JSON.stringify({ pid: process.pid, startedAt: await startTimeOf(process.pid) }));

describe('an exclusive lock', () => {
  test('is held by one at a time, and by all of them in the end', async () => {
    expect(await countInside(8, 0)).toEqual(Array.from({ length: 8 }, () => 1));
    expect(await readdir(folder)).toEqual([]);
  });

  test('is released when the work fails', async () => {
    const failing = withLock(lockFile, LONG, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await withLock(lockFile, { deadlineMs: 0 }, one)).toEqual({ value: 1 });
  });

  test('of a living process is respected until the deadline', async () => {
    await holdLock();
    const startedAt = performance.now();
    expect(await withLock(lockFile, { deadlineMs: 100 }, one)).toBeUndefined();
    expect(performance.now() - startedAt).toBeGreaterThan(90);
    expect(await readdir(folder)).toEqual(['web.lock']);
  });

  test.each([
    ['a process whose id another one has by now', ABANDONED],
    ['a process that has ended', JSON.stringify({ pid: 2 ** 30, startedAt: '' })],
    ['a torn write', '{"pid":'],
    ['nobody', 'null'],
    ['a process that recorded its id alone', String(process.pid)],
  ])('of %s is taken over, without a pause', async (_what, content) => {
    await writeFile(lockFile, content);
    expect(await withLock(lockFile, { deadlineMs: 0 }, one)).toEqual({ value: 1 });
    expect(await readdir(folder)).toEqual([]);
  });

  test('that many take over at once is still held by one at a time', async () => {
    await writeFile(lockFile, ABANDONED);
    expect(await countInside(10, 5)).toEqual(Array.from({ length: 10 }, () => 1));
    expect(await readdir(folder)).toEqual([]);
  });

  test('is not removed by a waiter that found it abandoned before another one took it over', async () => {
    await writeFile(lockFile, JSON.stringify({ pid: 2 ** 30, startedAt: '' }));
    const quickHolds = new EventEmitter();
    const hasTaken = once(quickHolds, 'taken');
    const slow = withLock(
      lockFile,
      {
        ...LONG,
        startTimeOf: async (pid) => {
          // Looks the dead holder up for as long as the quick waiter needs to take the lock.
          if (pid === 2 ** 30) await hasTaken;
          return await startTimeOf(pid);
        },
      },
      one,
    );
    await pause(50);
    const quick = withLock(lockFile, LONG, async () => {
      quickHolds.emit('taken');
      await pause(50);
      // Without the files by which the slow waiter tries to take the lock.
      return (await readdir(folder)).filter((name) => !/^web\.lock\.[0-9a-f]+$/.test(name));
    });
    expect(await quick).toEqual({ value: ['web.lock'] });
    expect(await slow).toEqual({ value: 1 });
  });

  test('is not taken over during another takeover, but once that was interrupted', async () => {
    await writeFile(lockFile, ABANDONED);
    await mkdir(`${lockFile}.takeover`);
    expect(await withLock(lockFile, { deadlineMs: 60 }, one)).toBeUndefined();
    await utimes(`${lockFile}.takeover`, 1_000, 1_000);
    expect(await withLock(lockFile, LONG, one)).toEqual({ value: 1 });
    expect(await readdir(folder)).toEqual([]);
  });

  test('reports once that it waits, and the wait can be aborted', async () => {
    await holdLock();
    const controller = new AbortController();
    const onWait = vi.fn<() => void>();
    const waiting = withLock(lockFile, { ...LONG, signal: controller.signal, onWait }, one);
    await vi.waitFor(() => expect(onWait).toHaveBeenCalled());
    await pause(100);
    controller.abort();
    await expect(waiting).rejects.toThrow(/abort/i);
    expect(onWait).toHaveBeenCalledTimes(1);
    expect(await readdir(folder)).toEqual(['web.lock']);
  });

  test('of a process in another container is respected while that touches it', async () => {
    await writeFile(lockFile, JSON.stringify({ pid: 1, startedAt: 'boot/pid:[1]/7' }));
    expect(await isLocked(lockFile)).toBe(true);
    expect(await withLock(lockFile, { deadlineMs: 0 }, one)).toBeUndefined();
    await utimes(lockFile, 1_000, 1_000);
    expect(await isLocked(lockFile)).toBe(false);
    expect(await withLock(lockFile, { deadlineMs: 0 }, one)).toEqual({ value: 1 });
  });

  test('is touched while it is held', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    await withLock(lockFile, LONG, async () => {
      await utimes(lockFile, 1_000, 1_000);
      vi.advanceTimersByTime(10_000);
      await expect.poll(async () => (await stat(lockFile)).mtimeMs).toBeGreaterThan(1_000_000);
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that somebody else has taken meanwhile is left to them', async () => {
    const other = JSON.stringify({ pid: 1, startedAt: 'boot/pid:[1]/7' });
    await withLock(lockFile, LONG, () => writeFile(lockFile, other));
    expect(await readFile(lockFile, 'utf8')).toBe(other);
  });

  test('ends its wait as soon as the lock is released', async () => {
    const first = withLock(lockFile, LONG, () => pause(100, 'first'));
    await vi.waitFor(async () => expect(await readdir(folder)).toContain('web.lock'));
    expect(await withLock(lockFile, LONG, one)).toEqual({ value: 1 });
    expect(await first).toEqual({ value: 'first' });
  });
});

test.runIf(process.platform === 'linux')(
  'the start time of a process includes the boot and the namespace',
  async () => {
    expect(await startTimeOf(process.pid)).toMatch(/^[0-9a-f-]{36}\/pid:\[\d+\]\/\d+$/);
    expect(await startTimeOf(2 ** 30)).toBeUndefined();
  },
);
