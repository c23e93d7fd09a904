import { describe, expect, test, vi } from 'vitest';
import { waitFor, within } from '../../../src/core/waiting.ts';

/** Returns the values in turn, then the last one repeatedly. */
function answering<T>(first: T, ...more: T[]): () => Promise<T> {
  const values = [first, ...more];
  return async () => (values.length > 1 ? (values.shift() ?? first) : (values[0] ?? first));
}
const LONG_MS = 60_000;

describe('waiting for a state', () => {
  test('ends with the first done value', async () => {
    const seen: string[] = [];
    const waited = await waitFor({
      poll: answering<string>('pending', 'pending', 'running', 'done'),
      done: (value) => value === 'running',
      intervalMs: 1,
      deadlineMs: LONG_MS,
      onChange: (value) => seen.push(value),
    });
    expect(waited).toEqual({ kind: 'done', value: 'running' });
    expect(seen).toEqual(['pending', 'running']);
  });

  test('detects a change by content, not by identity', async () => {
    const onChange = vi.fn<(value: { at: number[] }) => void>();
    await waitFor({
      poll: answering({ at: [1] }, { at: [1] }, { at: [2] }),
      done: ({ at }) => at[0] === 2,
      intervalMs: 1,
      deadlineMs: LONG_MS,
      onChange,
    });
    expect(onChange).toHaveBeenCalledTimes(2);
  });

  test('returns the last value at the deadline', async () => {
    const waited = await waitFor({ poll: answering('pending'), done: () => false, intervalMs: 1, deadlineMs: 30 });
    expect(waited).toEqual({ kind: 'timed-out', value: 'pending' });
  });

  test('ends at the deadline even if a poll never returns, and aborts that poll', async () => {
    let signal: AbortSignal | undefined;
    const poll = (given: AbortSignal): Promise<string> => {
      signal = given;
      return new Promise(() => undefined);
    };
    expect(await waitFor({ poll, done: () => true, intervalMs: 1, deadlineMs: 20 })).toEqual({ kind: 'timed-out' });
    expect(signal?.aborted).toBe(true);
  });

  test('does not poll after an abort', async () => {
    const poll = vi.fn<() => Promise<string>>(answering('pending'));
    const waited = await waitFor({
      poll,
      done: () => false,
      intervalMs: 1,
      deadlineMs: LONG_MS,
      signal: AbortSignal.abort(),
    });
    expect(waited).toEqual({ kind: 'cancelled' });
    expect(poll).not.toHaveBeenCalled();
  });

  test('ends during a pause when it is aborted', async () => {
    const controller = new AbortController();
    const waited = waitFor({
      poll: answering('pending'),
      done: () => false,
      intervalMs: LONG_MS,
      deadlineMs: LONG_MS,
      signal: controller.signal,
      onChange: () => setImmediate(() => controller.abort()),
    });
    expect(await waited).toEqual({ kind: 'cancelled', value: 'pending' });
  });

  test('polls less and less often while nothing changes, and often again after a change', async () => {
    vi.useFakeTimers();
    try {
      const at: number[] = [];
      const start = Date.now();
      let value = 'pending';
      const waited = waitFor({
        poll: async () => {
          at.push(Date.now() - start);
          if (at.length === 7) value = 'pulling';
          return value;
        },
        done: () => at.length === 9,
        intervalMs: 1000,
        deadlineMs: 10 * LONG_MS,
      });
      await vi.runAllTimersAsync();
      await waited;
      const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0));
      expect(pauses).toEqual([1000, 1500, 2250, 3375, 5000, 5000, 1000, 1500]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('begins with a pause if a value was just read', async () => {
    vi.useFakeTimers();
    try {
      const at: number[] = [];
      const start = Date.now();
      const seen: string[] = [];
      const waited = waitFor({
        first: 'pending',
        poll: async () => {
          at.push(Date.now() - start);
          return 'pending';
        },
        done: () => at.length === 4,
        intervalMs: 100,
        longestMs: 200,
        deadlineMs: LONG_MS,
        onChange: (value) => seen.push(value),
      });
      await vi.runAllTimersAsync();
      expect(await waited).toEqual({ kind: 'done', value: 'pending' });
      expect(at).toEqual([100, 250, 450, 650]);
      expect(seen).toEqual(['pending']);
    } finally {
      vi.useRealTimers();
    }
  });

  test('rethrows the error of a poll', async () => {
    const poll = async (): Promise<never> => {
      throw new Error('no such run');
    };
    await expect(waitFor({ poll, done: () => true, intervalMs: 1, deadlineMs: LONG_MS })).rejects.toThrow(
      'no such run',
    );
  });
});

test('a promise that settles in time settles as it would without a limit', async () => {
  expect(await within(1_000_000, Promise.resolve(7))).toBe(7);
  await expect(within(1_000_000, Promise.reject(new Error('no')))).rejects.toThrow('no');
});

test('a promise that never settles is given up', async () => {
  expect(await within(1, new Promise<never>(() => undefined))).toBeUndefined();
});
