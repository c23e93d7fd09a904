import * as z from 'zod';
import { textOf } from './model-api.ts';
import type { ModelApi, Move } from './model-api.ts';

const body = z.looseObject({
  tools: z
    .array(
      z.looseObject({
        function: z.looseObject({
          name: z.string(),
          description: z.string().default(''),
          parameters: z.unknown().optional(),
        }),
      }),
    )
    .default([]),
  messages: z
    .array(z.looseObject({ role: z.string(), content: z.unknown().optional(), tool_call_id: z.string().optional() }))
    .default([]),
});

/** OpenAI's Chat Completions. */
export const chatCompletions: ModelApi = {
  path: /\/chat\/completions/,
  read(raw) {
    const { tools, messages } = body.parse(raw);
    return {
      tools: tools.map(({ function: { name, description, parameters } }) => ({
        name,
        description,
        schema: parameters,
      })),
      results: messages
        .filter(({ role }) => role === 'tool')
        .map(({ tool_call_id: id, content }) => ({ id, text: textOf(content) })),
    };
  },
  answer(move, { id, isStream, model }) {
    const head = { id: `chatcmpl-${id}`, created: 1_700_000_000, model };
    const usage = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };
    const finish = move.kind === 'call' ? 'tool_calls' : 'stop';
    if (!isStream) {
      const choice = { index: 0, message: messageOf(move), finish_reason: finish, logprobs: null };
      return { kind: 'json', body: { ...head, object: 'chat.completion', choices: [choice], usage } };
    }
    const chunk = (delta: object, reason: string | null): object => ({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: reason, logprobs: null }],
    });
    const last = { ...head, object: 'chat.completion.chunk', choices: [], usage };
    const events = [chunk(messageOf(move), null), chunk({}, finish), last, '[DONE]'];
    return { kind: 'events', events: events.map((data) => ({ data })) };
  },
};

function messageOf(move: Move): object {
  if (move.kind === 'say') return { role: 'assistant', content: move.text };
  const call = { name: move.tool.name, arguments: JSON.stringify(move.args) };
  return {
    role: 'assistant',
    content: null,
    tool_calls: [{ index: 0, id: move.id, type: 'function', function: call }],
  };
}
