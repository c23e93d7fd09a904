import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { createRunWatch, createSubscriptionListener } from '../../../src/mcp/subscriptions.ts';
import type { RunSnapshot, RunWatch, SubscriptionListener } from '../../../src/mcp/subscriptions.ts';

const log = pino({ level: 'silent' });

/** A watch on a clock that moves only when everything is idle, and then to the end of the pause. */
function createClock(read: (name: string, nth: number) => RunSnapshot) {
  const reads: { name: string; at: number }[] = [];
  const changes: string[] = [];
  let now = 0;
  let waiting: { readonly untilMs: number; readonly end: () => void } | undefined;
  const watch: RunWatch = createRunWatch({
    log,
    intervalMs: 10,
    now: () => now,
    read: async (name) => {
      reads.push({ name, at: now });
      await Promise.resolve();
      return read(name, reads.filter((one) => one.name === name).length);
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
    reads,
    changes,
    settle,
    /** Ends this many pauses. */
    async pass(pauses: number) {
      for (let i = 0; i < pauses; i += 1) {
        await settle();
        now = waiting?.untilMs ?? now;
        waiting?.end();
      }
      await settle();
    },
    times: (name: string) => reads.filter((one) => one.name === name).map(({ at }) => at),
  };
}

const running: RunSnapshot = { status: 'running', isFinished: false };
const done: RunSnapshot = { status: 'done', isFinished: true };

test('polls a run once per interval and reports a change once, no matter how many watch it', async () => {
  const clock = createClock((_, nth) => (nth < 3 ? running : done));
  for (let i = 0; i < 5; i += 1) clock.watch.watch('a');
  await clock.pass(2);
  expect(clock.times('a')).toEqual([0, 10, 20]);
  expect(clock.changes).toEqual(['a']);
});

test('the first state of a run is not a change, nor is the same state again', async () => {
  const clock = createClock(() => running);
  clock.watch.watch('a');
  await clock.pass(4);
  expect(clock.reads).toHaveLength(5);
  expect(clock.changes).toEqual([]);
});

test('polls a finished run less often, and reports a run that appears', async () => {
  const clock = createClock((_, nth) => (nth === 1 ? { status: 'missing', isFinished: false } : done));
  clock.watch.watch('a');
  await clock.pass(2);
  expect(clock.times('a')).toEqual([0, 10, 70]);
  expect(clock.changes).toEqual(['a']);
});

test('backs off after failures up to a limit, without reporting a change, until a success', async () => {
  const clock = createClock((_, nth) => {
    if (nth >= 2 && nth <= 6) throw new Error('unreachable');
    return running;
  });
  clock.watch.watch('a');
  await clock.pass(7);
  expect(clock.times('a')).toEqual([0, 10, 30, 70, 150, 270, 390, 400]);
  expect(clock.changes).toEqual([]);
});

test('a run that fails does not slow down the others', async () => {
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

test('stops polling when the last watcher leaves, and starts again with a new one', async () => {
  const clock = createClock((_, nth) => (nth === 1 ? running : done));
  const ends = [clock.watch.watch('a'), clock.watch.watch('a')];
  await clock.settle();
  ends[0]?.();
  // Ending twice counts once.
  ends[0]?.();
  await clock.pass(1);
  expect(clock.reads).toHaveLength(2);
  ends[1]?.();
  await clock.pass(3);
  expect(clock.reads).toHaveLength(2);
  clock.watch.watch('a');
  await clock.settle();
  expect(clock.reads).toHaveLength(3);
  // The earlier state was dropped with the watchers.
  expect(clock.changes).toEqual(['a']);
});

test('polls a new run immediately, even during a pause', async () => {
  const clock = createClock(() => running);
  clock.watch.watch('a');
  await clock.settle();
  clock.watch.watch('b');
  await clock.settle();
  expect(clock.reads).toEqual([
    { name: 'a', at: 0 },
    { name: 'b', at: 0 },
  ]);
});

test('ending a watch aborts the current poll and reports nothing', async () => {
  const signals: AbortSignal[] = [];
  const changes: string[] = [];
  let answer: (snapshot: RunSnapshot) => void = () => undefined;
  const watch = createRunWatch({
    log,
    onChange: (name) => changes.push(name),
    pause: () => Promise.resolve(),
    intervalMs: 0,
    read: (_, signal) => {
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

test('watches at most a hundred runs, and closing ends them all', async () => {
  const clock = createClock(() => running);
  const ends = Array.from({ length: 101 }, (_, index) => clock.watch.watch(`run-${index}`));
  expect(ends.filter((end) => end === undefined)).toHaveLength(1);
  await clock.settle();
  expect(clock.reads).toHaveLength(100);
  clock.watch.close();
  await clock.pass(2);
  expect(clock.reads).toHaveLength(100);
});

let watched: string[];
let listener: SubscriptionListener;

beforeEach(() => {
  watched = [];
  listener = createSubscriptionListener((uri) => {
    if (!uri.startsWith('dstack://runs/')) return undefined;
    watched.push(uri);
    return () => watched.splice(watched.indexOf(uri), 1);
  });
});

const listen = (id: number, ...resourceSubscriptions: readonly string[]) => ({
  jsonrpc: '2.0',
  id,
  method: 'subscriptions/listen',
  params: { notifications: { resourceSubscriptions } },
});

test('watches each URI once, and none that sends no updates', () => {
  listener.received(listen(1, 'dstack://runs/a', 'dstack://runs/a', 'dstack://help/apply'));
  expect(watched).toEqual(['dstack://runs/a']);
});

test.each([
  ['cancels it', () => listener.received({ method: 'notifications/cancelled', params: { requestId: 1 } })],
  ['is rejected', () => listener.sent({ id: 1, error: { code: -32602, message: 'no' } })],
  ['disconnects', () => listener.close()],
])('stops watching when the client %s', (_, end) => {
  listener.received(listen(1, 'dstack://runs/a', 'dstack://runs/b'));
  end();
  expect(watched).toEqual([]);
});

test('cancelling one request keeps the other, and a result ends nothing', () => {
  listener.received(listen(1, 'dstack://runs/a'));
  listener.received(listen(2, 'dstack://runs/a'));
  listener.sent({ id: 2, result: {} });
  listener.received({ method: 'notifications/cancelled', params: { requestId: 1 } });
  expect(watched).toEqual(['dstack://runs/a']);
});

test('a repeated id replaces the earlier request', () => {
  listener.received(listen(1, 'dstack://runs/a'));
  listener.received(listen(1, 'dstack://runs/b'));
  expect(watched).toEqual(['dstack://runs/b']);
});

test.each([null, 'text', {}, { method: 'subscriptions/listen', id: 1 }, { method: 'tools/call', id: 1, params: {} }])(
  'ignores other messages: %j',
  (message) => {
    listener.received(message);
    listener.sent(message);
    expect(watched).toEqual([]);
  },
);
