import { expect, onTestFinished, test, vi } from 'vitest';
import { chatBody, readChat, readTokens } from '../../../src/remote/chat.ts';

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

test('the tokens of an answer are read without its text', () => {
  const stream = ['{"choices":[]}', '{"choices":[],"usage":{"completion_tokens":2}}', '[DONE]', ''].join('\n\ndata: ');
  expect(readTokens(STREAM, `data: ${stream}`)).toBe(2);
  expect(readTokens(JSON_TYPE, whole())).toBe(5);
  for (const [type, body] of [
    [STREAM, ''],
    [JSON_TYPE, stream],
    [JSON_TYPE, whole({ usage: null })],
  ] as const)
    expect(readTokens(type, body)).toBeUndefined();
});

test('of a stream with more events than an answer has, the beginning and the usage at the end are read', () => {
  const event = (content: string): string => `data:{"choices":[{"delta":{"content":"${content}"}}]}\n`;
  const parse = vi.spyOn(JSON, 'parse');
  onTestFinished(() => parse.mockRestore());
  const body = `${event('x').repeat(20_000)}data:{"usage":{"completion_tokens":20000}}\ndata: [DONE]\n`;
  expect(readChat(STREAM, body)).toEqual({
    text: 'x'.repeat(2_006),
    finish: undefined,
    promptTokens: undefined,
    completionTokens: 20_000,
  });
  expect(parse).toHaveBeenCalledTimes(2_008);
});

test('of many choices the first one is read', () => {
  const unread = {
    get message(): never {
      throw new Error('a second choice was read');
    },
    get delta(): never {
      throw new Error('a second choice was read');
    },
  };
  const parse = vi.spyOn(JSON, 'parse');
  onTestFinished(() => parse.mockRestore());
  parse.mockReturnValue({ choices: [{ message: { content: 'x' }, delta: { content: 'y' } }, unread] });
  expect(readChat(JSON_TYPE, '')).toMatchObject({ text: 'x' });
  expect(readChat(STREAM, 'data:\n')).toMatchObject({ text: 'y' });
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
