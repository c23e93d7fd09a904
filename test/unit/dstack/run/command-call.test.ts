import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createCallLimit, createCommandQueue } from '../../../../src/dstack/run/command-call.ts';

const never = new AbortController().signal;
const pending = new Promise<never>(() => undefined);
const LONG = { timeoutMs: 60_000 };

test.each([
  ['timed-out', () => createCallLimit({ timeoutMs: 0.5 }, never)],
  ['cancelled', () => createCallLimit({ ...LONG, signal: AbortSignal.abort() }, never)],
  ['cancelled', () => createCallLimit({ ...LONG, signal: AbortSignal.timeout(1) }, never)],
  ['closing', () => createCallLimit({ ...LONG, signal: never }, AbortSignal.abort())],
])('the reason is %s', async (reason, create) => {
  const limit = create();
  expect(await limit.race(pending)).toBe(reason);
  expect(limit.reason()).toBe(reason);
});

test('the first reason stays', () => {
  const [cancel, closing] = [new AbortController(), new AbortController()];
  const limit = createCallLimit({ ...LONG, signal: cancel.signal }, closing.signal);
  expect(limit.reason()).toBeUndefined();
  closing.abort();
  cancel.abort();
  expect(limit.reason()).toBe('closing');
});

test('a promise that has settled wins over a limit that was reached', async () => {
  const limit = createCallLimit(LONG, AbortSignal.abort());
  expect(await limit.race(Promise.resolve({ code: 0 }))).toEqual({ code: 0 });
  await expect(limit.race(Promise.reject(new Error('failed')))).rejects.toThrow('failed');
});

test('a deadline fires although nothing refers to the limit but the race', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const races = Array.from({ length: 50 }, () => createCallLimit({ timeoutMs: 200 }, never).race(pending));
  for (let round = 0; round < 5; round++) {
    await delay(10);
    collect();
  }
  expect(new Set(await Promise.all(races))).toEqual(new Set(['timed-out']));
});

test('a job that waits leaves the queue when its signal aborts, and never runs', async () => {
  const queue = createCommandQueue(1, 1);
  const [first, second] = [new AbortController(), new AbortController()];
  let finish: (value: string) => void = () => undefined;
  const running = queue.run(first.signal, () => new Promise<string>((resolve) => (finish = resolve)));
  const waiting = queue.run(second.signal, () => Promise.reject(new Error('it ran')));
  await expect(queue.run(never, () => Promise.resolve())).rejects.toMatchObject({ code: 'busy' });
  second.abort();
  expect(await waiting).toBeUndefined();
  // Its place is free again.
  const next = queue.run(never, () => Promise.resolve('next'));
  // A running job keeps its slot until it ends, even if its signal aborts.
  first.abort();
  finish('first');
  expect(await Promise.all([running, next])).toEqual(['first', 'next']);
  await queue.settled();
});

test('the error of a job is thrown, and the queue goes on', async () => {
  const queue = createCommandQueue(1, 1);
  await expect(queue.run(never, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(await queue.run(never, () => Promise.resolve('next'))).toBe('next');
});
