import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createIntrospection } from '../../../../src/dstack/warm/introspection.ts';

/** Creates an introspection whose answers and worker a test may replace. */
function setUp() {
  const asked: unknown[] = [];
  const world: { answer: object | undefined; worker: object | undefined } = {
    answer: { value: { type: 'task' } },
    worker: {},
  };
  const introspection = createIntrospection({
    askWarm: async (_task, input) => {
      asked.push(JSON.parse(Buffer.from(input).toString()));
      return world.answer === undefined ? undefined : JSON.stringify(world.answer);
    },
    currentWorker: async () => world.worker,
    executable: { path: '/opt/dstack', tried: [] },
    workerFiles: '/opt/worker',
    env: {},
    log: pino({ level: 'silent' }),
    timeoutMs: 1_000,
    closing: new AbortController().signal,
  });
  return { asked, world, load: (text: string) => introspection.load(text) };
}

test('the text that was read last is not read again, and one that was not answered is', async () => {
  const { asked, world, load } = setUp();
  const loaded = { value: { type: 'task' } };
  for (const text of ['type: task', 'type: task', 'type: task # edited', 'type: task'])
    expect(await load(text)).toEqual(loaded);
  expect(asked).toEqual(['type: task', 'type: task # edited', 'type: task']);
  world.answer = undefined;
  expect(await load('type: fleet')).toBeUndefined();
  world.answer = loaded;
  expect(await load('type: fleet')).toEqual(loaded);
});

test('a text is read again by another worker, which may be another version of dstack and its parser', async () => {
  const { asked, world, load } = setUp();
  await load('on: 1');
  world.worker = {};
  world.answer = { value: 'another reading' };
  expect(await load('on: 1')).toEqual({ value: 'another reading' });
  world.worker = undefined;
  await load('on: 1');
  await load('on: 1');
  expect(asked).toHaveLength(3);
});

test('an error is not kept: the text is read again', async () => {
  const { asked, world, load } = setUp();
  world.answer = { error: 'out of memory' };
  expect(await load('a: 1')).toEqual(world.answer);
  world.answer = { value: { a: 1 } };
  expect(await load('a: 1')).toEqual(world.answer);
  expect(asked).toHaveLength(2);
});
