import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createIntrospection } from '../../../../src/dstack/warm/introspection.ts';

test('the text that was read last is not read again, and one that was not answered is', async () => {
  const asked: unknown[] = [];
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
  });
  const loaded = { value: { type: 'task' } };
  for (const text of ['type: task', 'type: task', 'type: task # edited', 'type: task'])
    expect(await introspection.load(text)).toEqual(loaded);
  expect(asked).toEqual(['type: task', 'type: task # edited', 'type: task']);
  answer = undefined;
  expect(await introspection.load('type: fleet')).toBeUndefined();
  answer = JSON.stringify(loaded);
  expect(await introspection.load('type: fleet')).toEqual(loaded);
});
