import { expect, test } from 'vitest';
import { askModel } from '../../../sandbox/machines/model-server.ts';
import type { AppReply, ModelBehavior } from '../../../sandbox/machines/scenarios.ts';

const messages = [
  { role: 'system', content: 'Be short.' },
  { role: 'user', content: 'How are you?' },
];

async function ask(
  question: Record<string, unknown>,
  behavior: ModelBehavior = {},
): Promise<{ status: number | undefined; text: string; parts: string[] }> {
  const request = { method: 'POST', path: '/v1/chat/completions', body: JSON.stringify({ model: 'm', ...question }) };
  const pace = { firstTokenMs: 0, tokenMs: 0 };
  const reply = await askModel(request, { model: 'm', behavior: { ...pace, ...behavior } });
  const parts = await readParts(reply?.body ?? '');
  return { status: reply?.status, text: parts.join(''), parts };
}

async function readParts(body: AppReply['body']): Promise<string[]> {
  if (typeof body === 'string') return [body];
  const parts: string[] = [];
  for await (const part of body) {
    parts.push(part);
    if (parts.length === 100) break;
  }
  return parts;
}

const CONTENT = '(simulated m) You said: How are you?';

test('answers a chat with its usage, a word a token', async () => {
  const { status, text } = await ask({ messages });
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({
    model: 'm',
    choices: [{ message: { role: 'assistant', content: CONTENT }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
  });
});

test('streams each token as an event, and the usage if it was asked for', async () => {
  const { parts } = await ask({ messages, stream: true, stream_options: { include_usage: true } });
  expect(parts.at(-1)).toBe('data: [DONE]\n\n');
  const events = parts.slice(0, -1).map((part) => JSON.parse(part.slice('data: '.length)));
  expect(
    events
      .flatMap(({ choices }) => choices)
      .map(({ delta }) => delta.content ?? '')
      .join(''),
  ).toBe(CONTENT);
  expect(events).toHaveLength(1 + 7 + 1 + 1);
  expect(events.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 12 } });
  expect((await ask({ messages, stream: true })).parts).toHaveLength(1 + 7 + 1 + 1);
});

test('cuts an answer at the limit of tokens', async () => {
  const { text } = await ask({ messages, max_tokens: 2 });
  expect(JSON.parse(text)).toMatchObject({
    choices: [{ message: { content: '(simulated m)' }, finish_reason: 'length' }],
    usage: { completion_tokens: 2 },
  });
});

test.each([
  ['another model', { model: 'other', messages }, {}, 404, 'does not exist'],
  ['no message', { messages: [] }, {}, 400, 'at least one message'],
  ['a model that fails', { messages }, { failsWith: 500 }, 500, 'failed'],
  ['a model that is overloaded', { messages, stream: true }, { failsWith: 503 }, 503, 'failed'],
])('answers %s with an error', async (_what, question, behavior, status, message) => {
  const answer = await ask(question, behavior);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.text)).toMatchObject({ error: { message: expect.stringContaining(message), code: status } });
});

test('streams without an end in that scenario', async () => {
  expect((await ask({ messages, stream: true }, { isEndless: true })).parts).toHaveLength(100);
});

test('lists its model, and leaves other paths to the service', async () => {
  const get = { method: 'GET', body: '' };
  const listed = await askModel({ ...get, path: '/v1/models' }, { model: 'm', behavior: {} });
  expect(JSON.parse((await readParts(listed?.body ?? '')).join(''))).toMatchObject({ data: [{ id: 'm' }] });
  expect(await askModel({ ...get, path: '/metrics' }, { model: 'm', behavior: {} })).toBeUndefined();
});
