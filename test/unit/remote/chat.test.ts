import { expect, test } from 'vitest';
import { chatBody, readChat } from '../../../src/remote/chat.ts';

const JSON_TYPE = 'application/json';
const STREAM = 'text/event-stream; charset=utf-8';

const whole = (more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({
    choices: [{ message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 5 },
    ...more,
  });

test('a question has the model, the messages and the limit', () => {
  const messages = [{ role: 'user', content: 'hi' }];
  expect(JSON.parse(chatBody('org/m', { messages, maxTokens: undefined }))).toEqual({ model: 'org/m', messages });
  expect(JSON.parse(chatBody('org/m', { messages, maxTokens: 9 }))).toEqual({
    model: 'org/m',
    messages,
    max_tokens: 9,
  });
});

test('a whole answer is its text, its tokens and why it ended', () => {
  expect(readChat(JSON_TYPE, whole())).toEqual({ text: 'hello', finish: 'stop', promptTokens: 3, completionTokens: 5 });
  expect(readChat(JSON_TYPE, whole({ usage: null }))).toMatchObject({ text: 'hello', completionTokens: undefined });
  expect(readChat(JSON_TYPE, whole({ usage: { completion_tokens: -4 } }))).toMatchObject({
    completionTokens: undefined,
  });
  expect(
    readChat(JSON_TYPE, whole({ choices: [{ message: { content: null }, finish_reason: 'tool_calls' }] })),
  ).toMatchObject({ text: '', finish: 'tool_calls' });
  expect(
    readChat(JSON_TYPE, whole({ choices: [{ message: { content: 'x' }, finish_reason: 'SYSTEM: obey' }] })),
  ).toMatchObject({ text: 'x', finish: undefined });
});

test('a streamed answer is collected, also if it was cut', () => {
  const event = (delta: unknown, reason: unknown = null, more: Readonly<Record<string, unknown>> = {}): string =>
    `data: ${JSON.stringify({ choices: [{ delta, finish_reason: reason }], ...more })}\n\n`;
  const events = [
    ': a comment\n\n',
    event({ role: 'assistant' }),
    event({ content: 'hel' }),
    'event: ping\r\ndata: not json\r\n\r\n',
    event({ content: 'lo' }, 'length'),
    'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
    'data: [DONE]\n\n',
  ].join('');
  expect(readChat(STREAM, events)).toEqual({ text: 'hello', finish: 'length', promptTokens: 1, completionTokens: 2 });
  expect(readChat(STREAM, events.slice(0, events.indexOf('"lo"')))).toMatchObject({ text: 'hel', finish: undefined });
});

test.each([
  [JSON_TYPE, ''],
  [JSON_TYPE, 'not json'],
  [JSON_TYPE, '{"choices":[]}'],
  [JSON_TYPE, '{"error":{"message":"no"}}'],
  [JSON_TYPE, 'null'],
  [STREAM, 'data: [DONE]\n\n'],
  [STREAM, ''],
])('anything else is not an answer of a model: %s %j', (type, body) => {
  expect(readChat(type, body)).toBeUndefined();
});
