import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createRunWatch } from '../../../src/mcp/watch-runs.ts';
import type { RunSnapshot, RunWatch } from '../../../src/mcp/watch-runs.ts';

const log = pino({ level: 'silent' });

/** A watch on a clock that moves only when all is quiet, and then right to the end of the pause. */
function createClock(look: (name: string, nth: number) => RunSnapshot) {
  const looks: { name: string; at: number }[] = [];
  const changes: string[] = [];
  let now = 0;
  let waiting: { readonly untilMs: number; readonly end: () => void } | undefined;
  const watch: RunWatch = createRunWatch({
    log,
    intervalMs: 10,
    now: () => now,
    look: async (name) => {
      looks.push({ name, at: now });
      await Promise.resolve();
      return look(name, looks.filter((one) => one.name === name).length);
    },
    onChange: (name) => changes.push(name),
    pause: (ms, signal) =>
      new Promise((resolve) => {
        waiting = { untilMs: now + ms, end: resolve };
        signal.addEventListener('abort', () => resolve(), { once: true });
      }),
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return {
    watch,
    looks,
    changes,
    settle,
    /** Lets so many pauses end. */
    async pass(pauses: number) {
      for (let i = 0; i < pauses; i += 1) {
        await settle();
        now = waiting?.untilMs ?? now;
        waiting?.end();
      }
      await settle();
    },
    times: (name: string) => looks.filter((one) => one.name === name).map(({ at }) => at),
  };
}

const running: RunSnapshot = { status: 'running', isFinished: false };
const done: RunSnapshot = { status: 'done', isFinished: true };

test('however many watch a run, it is looked at once an interval, and they hear of a change once', async () => {
  const clock = createClock((_, nth) => (nth < 3 ? running : done));
  for (let i = 0; i < 5; i += 1) clock.watch.watch('a');
  await clock.pass(2);
  expect(clock.times('a')).toEqual([0, 10, 20]);
  expect(clock.changes).toEqual(['a']);
});

test('the first sight of a run is no change, nor is the same again', async () => {
  const clock = createClock(() => running);
  clock.watch.watch('a');
  await clock.pass(4);
  expect(clock.looks).toHaveLength(5);
  expect(clock.changes).toEqual([]);
});

test('a run that is over is looked at seldom, and one that comes to be is a change', async () => {
  const clock = createClock((_, nth) => (nth === 1 ? { status: 'missing', isFinished: false } : done));
  clock.watch.watch('a');
  await clock.pass(2);
  expect(clock.times('a')).toEqual([0, 10, 70]);
  expect(clock.changes).toEqual(['a']);
});

test('after failures the pauses grow up to a limit, a failure is no change, and a success ends it', async () => {
  const clock = createClock((_, nth) => {
    if (nth >= 2 && nth <= 6) throw new Error('unreachable');
    return running;
  });
  clock.watch.watch('a');
  await clock.pass(7);
  expect(clock.times('a')).toEqual([0, 10, 30, 70, 150, 270, 390, 400]);
  expect(clock.changes).toEqual([]);
});

test('a run that fails does not slow the others down', async () => {
  const clock = createClock((name) => {
    if (name === 'bad') throw new Error('no');
    return running;
  });
  clock.watch.watch('bad');
  clock.watch.watch('good');
  await clock.pass(4);
  expect(clock.times('good')).toEqual([0, 10, 20, 30, 40]);
  expect(clock.times('bad')).toEqual([0, 20]);
});

test('nothing is looked at once the last watcher has gone, and a new one begins anew', async () => {
  const clock = createClock((_, nth) => (nth === 1 ? running : done));
  const ends = [clock.watch.watch('a'), clock.watch.watch('a')];
  await clock.settle();
  ends[0]?.();
  // Twice the same end is one.
  ends[0]?.();
  await clock.pass(1);
  expect(clock.looks).toHaveLength(2);
  ends[1]?.();
  await clock.pass(3);
  expect(clock.looks).toHaveLength(2);
  clock.watch.watch('a');
  await clock.settle();
  expect(clock.looks).toHaveLength(3);
  // What it was before is forgotten with its watchers.
  expect(clock.changes).toEqual(['a']);
});

test('a new run is looked at at once, in the middle of a pause', async () => {
  const clock = createClock(() => running);
  clock.watch.watch('a');
  await clock.settle();
  clock.watch.watch('b');
  await clock.settle();
  expect(clock.looks).toEqual([
    { name: 'a', at: 0 },
    { name: 'b', at: 0 },
  ]);
});

test('a watch that is given up while dstack is asked tells nobody, and the look is ended', async () => {
  const signals: AbortSignal[] = [];
  const changes: string[] = [];
  let answer: (sight: RunSnapshot) => void = () => undefined;
  const watch = createRunWatch({
    log,
    onChange: (name) => changes.push(name),
    pause: () => Promise.resolve(),
    intervalMs: 0,
    look: (_, signal) => {
      signals.push(signal);
      if (signals.length === 1) return Promise.resolve(running);
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
  });
  const end = watch.watch('a');
  await expect.poll(() => signals.length).toBe(2);
  end?.();
  expect(signals[1]?.aborted).toBe(true);
  answer(done);
  await new Promise((resolve) => setImmediate(resolve));
  expect(changes).toEqual([]);
  expect(signals).toHaveLength(2);
});

test('no more than a hundred runs are watched, and closing ends them all', async () => {
  const clock = createClock(() => running);
  const ends = Array.from({ length: 101 }, (_, index) => clock.watch.watch(`run-${index}`));
  expect(ends.filter((end) => end === undefined)).toHaveLength(1);
  await clock.settle();
  expect(clock.looks).toHaveLength(100);
  clock.watch.close();
  await clock.pass(2);
  expect(clock.looks).toHaveLength(100);
});
