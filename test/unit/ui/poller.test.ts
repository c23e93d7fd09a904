import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPoller } from '../../../ui/poller.ts';
import type { PollResult, PollerEnvironment } from '../../../ui/poller.ts';

let isHidden = false;
let changeVisibility: () => void = () => undefined;
const environment: PollerEnvironment = {
  now: () => Date.now(),
  isHidden: () => isHidden,
  onVisibilityChange: (listener) => {
    changeVisibility = listener;
  },
};

beforeEach(() => {
  vi.useFakeTimers();
  isHidden = false;
});

afterEach(() => {
  vi.useRealTimers();
});

/** Creates a poll with the given results that records its times. */
function record(found: (count: number) => PollResult) {
  const startedAt = Date.now();
  const times: number[] = [];
  return {
    times,
    poll: () => {
      times.push(Date.now() - startedAt);
      return Promise.resolve(found(times.length));
    },
  };
}

test('polls immediately, then less and less often while nothing changes, up to the maximum interval', async () => {
  const { poll, times } = record(() => 'same');
  createPoller(environment).add({ poll, firstMs: 1_000, maxMs: 3_000 });
  await vi.advanceTimersByTimeAsync(12_000);
  expect(times).toEqual([0, 1_500, 3_750, 6_750, 9_750]);
});

test('polls again soon after a change', async () => {
  const { poll, times } = record((count) => (count === 3 ? 'changed' : 'same'));
  createPoller(environment).add({ poll, firstMs: 1_000, maxMs: 9_000 });
  await vi.advanceTimersByTimeAsync(6_500);
  expect(times).toEqual([0, 1_500, 3_750, 4_750, 6_250]);
});

test('does not poll while the card is hidden, and polls immediately when it becomes visible', async () => {
  const { poll, times } = record(() => 'same');
  createPoller(environment).add({ poll, firstMs: 1_000, maxMs: 1_000 });
  await vi.advanceTimersByTimeAsync(500);
  isHidden = true;
  changeVisibility();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(times).toEqual([0]);
  isHidden = false;
  changeVisibility();
  await vi.advanceTimersByTimeAsync(0);
  expect(times).toEqual([0, 60_500]);
});

test('runs one poll at a time, and a slow or ended task does not block the others', async () => {
  let isBusy = false;
  const together: boolean[] = [];
  const slow = async (): Promise<PollResult> => {
    together.push(isBusy);
    isBusy = true;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    isBusy = false;
    return 'changed';
  };
  const poller = createPoller(environment);
  const endFirst = poller.add({ poll: slow, firstMs: 100, maxMs: 100 });
  poller.add({ poll: slow, firstMs: 100, maxMs: 100 });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(together.length).toBeGreaterThan(2);
  expect(together).not.toContain(true);
  endFirst();
  const before = together.length;
  await vi.advanceTimersByTimeAsync(10_500);
  expect(together.length).toBeGreaterThan(before);
});

test('reports a failed poll and retries it, and stops a finished task', async () => {
  const failures: string[] = [];
  const poller = createPoller(environment);
  poller.add({
    poll: () => Promise.reject(new Error('no answer')),
    firstMs: 1_000,
    maxMs: 1_000,
    onFailure: (why) => failures.push(why),
  });
  const { poll, times } = record((count) => (count === 2 ? 'over' : 'same'));
  poller.add({ poll, firstMs: 1_000, maxMs: 1_000 });
  await vi.advanceTimersByTimeAsync(5_500);
  expect(failures.length).toBeGreaterThan(3);
  expect(new Set(failures)).toEqual(new Set(['no answer']));
  expect(times).toHaveLength(2);
});
