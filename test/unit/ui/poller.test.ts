import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPoller } from '../../../ui/poller.ts';
import type { Look, PollerWorld } from '../../../ui/poller.ts';

let isHidden = false;
let wake: () => void = () => undefined;
const world: PollerWorld = {
  now: () => Date.now(),
  isHidden: () => isHidden,
  onVisibility: (listener) => {
    wake = listener;
  },
};

beforeEach(() => {
  vi.useFakeTimers();
  isHidden = false;
});

afterEach(() => {
  vi.useRealTimers();
});

/** Looks that give what they are told, with the times at which they were made. */
function record(found: (count: number) => Look) {
  const startedAt = Date.now();
  const times: number[] = [];
  return {
    times,
    look: () => {
      times.push(Date.now() - startedAt);
      return Promise.resolve(found(times.length));
    },
  };
}

test('looks at once, then later and later while nothing changes, up to its limit', async () => {
  const { look, times } = record(() => 'same');
  createPoller(world).add({ look, firstMs: 1_000, maxMs: 3_000 });
  await vi.advanceTimersByTimeAsync(12_000);
  expect(times).toEqual([0, 1_500, 3_750, 6_750, 9_750]);
});

test('what changes is looked at again soon', async () => {
  const { look, times } = record((count) => (count === 3 ? 'changed' : 'same'));
  createPoller(world).add({ look, firstMs: 1_000, maxMs: 9_000 });
  await vi.advanceTimersByTimeAsync(6_500);
  expect(times).toEqual([0, 1_500, 3_750, 4_750, 6_250]);
});

test('nothing is looked at while nobody sees the page, and everything at once when somebody comes back', async () => {
  const { look, times } = record(() => 'same');
  createPoller(world).add({ look, firstMs: 1_000, maxMs: 1_000 });
  await vi.advanceTimersByTimeAsync(500);
  isHidden = true;
  wake();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(times).toEqual([0]);
  isHidden = false;
  wake();
  await vi.advanceTimersByTimeAsync(0);
  expect(times).toEqual([0, 60_500]);
});

test('of several tasks one looks at a time, and one that takes long or is ended holds up no other', async () => {
  let isBusy = false;
  const together: boolean[] = [];
  const slow = async (): Promise<Look> => {
    together.push(isBusy);
    isBusy = true;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    isBusy = false;
    return 'changed';
  };
  const poller = createPoller(world);
  const endFirst = poller.add({ look: slow, firstMs: 100, maxMs: 100 });
  poller.add({ look: slow, firstMs: 100, maxMs: 100 });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(together.length).toBeGreaterThan(2);
  expect(together).not.toContain(true);
  endFirst();
  const before = together.length;
  await vi.advanceTimersByTimeAsync(10_500);
  expect(together.length).toBeGreaterThan(before);
});

test('a look that fails is told, and made again later; one that is over isn’t', async () => {
  const failures: string[] = [];
  const poller = createPoller(world);
  poller.add({
    look: () => Promise.reject(new Error('no answer')),
    firstMs: 1_000,
    maxMs: 1_000,
    onFailure: (why) => failures.push(why),
  });
  const { look, times } = record((count) => (count === 2 ? 'over' : 'same'));
  poller.add({ look, firstMs: 1_000, maxMs: 1_000 });
  await vi.advanceTimersByTimeAsync(5_500);
  expect(failures.length).toBeGreaterThan(3);
  expect(new Set(failures)).toEqual(new Set(['no answer']));
  expect(times).toHaveLength(2);
});
