import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createIntrospection } from '../../../../src/dstack/warm/introspection.ts';

test('the text that was read last is not read again, unless it was not read or by another worker', async () => {
  const asked: unknown[] = [];
  let starts = 1;
  let answer: string | undefined = JSON.stringify({ value: { type: 'task' } });
  const introspection = createIntrospection({
    askWarm: async (_task, input) => {
      asked.push(JSON.parse(Buffer.from(input).toString()));
      return answer;
    },
    executable: { path: '/opt/dstack', tried: [] },
    workerFiles: '/opt/worker',
    env: {},
    log: pino({ level: 'silent' }),
    timeoutMs: 1_000,
    closing: new AbortController().signal,
    starts: () => starts,
  });
  const loaded = { value: { type: 'task' } };
  for (const text of ['type: task', 'type: task', 'type: task # edited', 'type: task'])
    expect(await introspection.load(text)).toEqual(loaded);
  expect(asked).toEqual(['type: task', 'type: task # edited', 'type: task']);
  answer = undefined;
  expect(await introspection.load('type: fleet')).toBeUndefined();
  const error = { error: 'not enough memory' };
  answer = JSON.stringify(error);
  expect(await introspection.load('type: fleet')).toEqual(error);
  answer = JSON.stringify(loaded);
  expect(await introspection.load('type: fleet')).toEqual(loaded);
  const other = { value: { type: 'volume' } };
  answer = JSON.stringify(other);
  expect(await introspection.load('type: fleet')).toEqual(loaded);
  starts = 2;
  expect(await introspection.load('type: fleet')).toEqual(other);
});
