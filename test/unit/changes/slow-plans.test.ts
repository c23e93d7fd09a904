import { expect, test } from 'vitest';
import { promiseWithResolvers } from '../../../src/core/waiting.ts';
import { SlowPlans } from '../../../src/changes/slow-plans.ts';

const call = (waitMs: number, signal = new AbortController().signal) => ({ waitMs, signal });
const NO_TIME = call(0);
const ENOUGH = call(60_000);

/** A plan that ends when the test says so. */
function slowPlan() {
  const { promise, resolve } = promiseWithResolvers<() => string>();
  const signals: AbortSignal[] = [];
  return {
    signals,
    resolve,
    start: (signal: AbortSignal): Promise<string> => {
      signals.push(signal);
      return promise.then((end) => end());
    },
  };
}

test('a plan that takes longer than its call is returned to the same call again, and only once', async () => {
  const plans = new SlowPlans<string>();
  const { signals, resolve, start } = slowPlan();
  expect(await plans.wait('a', NO_TIME, start)).toBeUndefined();
  expect(await plans.wait('a', NO_TIME, start)).toBeUndefined();
  resolve(() => 'the plan');
  expect(await plans.wait('a', ENOUGH, start)).toEqual({ plan: 'the plan' });
  expect(signals).toHaveLength(1);
  await plans.wait('a', ENOUGH, start);
  expect(signals).toHaveLength(2);
});

test('another call starts its own plan', async () => {
  const plans = new SlowPlans<string>();
  const { start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  expect(await plans.wait('b', ENOUGH, async () => 'another')).toEqual({ plan: 'another' });
});

test('a plan that fails in the meantime fails the same call again', async () => {
  const plans = new SlowPlans<string>();
  const { resolve, start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  resolve(() => {
    throw new Error('the server refused');
  });
  await expect(plans.wait('a', ENOUGH, start)).rejects.toThrow('the server refused');
});

test('a call that is cancelled ends its plan, also one that it continued to wait for', async () => {
  const plans = new SlowPlans<string>();
  const { signals, resolve, start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  expect(signals[0]?.aborted).toBe(false);
  const cancel = new AbortController();
  const waiting = plans.wait('a', call(60_000, cancel.signal), start);
  cancel.abort();
  expect(signals[0]?.aborted).toBe(true);
  resolve(() => 'too late');
  await waiting;
});

test('one plan goes on: the next one ends it', async () => {
  const plans = new SlowPlans<string>();
  const [first, second] = [slowPlan(), slowPlan()];
  await plans.wait('a', NO_TIME, first.start);
  await plans.wait('b', NO_TIME, second.start);
  expect([first, second].map(({ signals }) => signals[0]?.aborted)).toEqual([true, false]);
});
