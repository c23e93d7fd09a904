import * as z from 'zod';
import { textOf } from './model-api.ts';
import type { ModelApi, Move } from './model-api.ts';

const body = z.looseObject({
  tools: z
    .array(
      z.looseObject({ name: z.string(), description: z.string().default(''), input_schema: z.unknown().optional() }),
    )
    .default([]),
  messages: z.array(z.looseObject({ content: z.unknown().optional() })).default([]),
});

const toolResult = z.looseObject({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  content: z.unknown().optional(),
});

/** Anthropic's Messages. */
export const anthropic: ModelApi = {
  path: /\/messages(\?|$)/,
  read(raw) {
    const { tools, messages } = body.parse(raw);
    const blocks = messages.flatMap(({ content }): unknown[] => (Array.isArray(content) ? content : []));
    return {
      tools: tools.map(({ name, description, input_schema: schema }) => ({ name, description, schema })),
      results: blocks.flatMap((block) => {
        const { data } = toolResult.safeParse(block);
        return data === undefined ? [] : [{ id: data.tool_use_id, text: textOf(data.content) }];
      }),
    };
  },
  answer(move, { id, isStream, model }) {
    const stop = move.kind === 'call' ? 'tool_use' : 'end_turn';
    const usage = { input_tokens: 100, output_tokens: 20, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
    const message = { id: `msg_${id}`, type: 'message', role: 'assistant', model, stop_sequence: null, usage };
    if (!isStream) return { kind: 'json', body: { ...message, content: [contentOf(move)], stop_reason: stop } };
    return {
      kind: 'events',
      events: [
        { type: 'message_start', message: { ...message, content: [], stop_reason: null } },
        { type: 'content_block_start', index: 0, content_block: startOf(move) },
        { type: 'content_block_delta', index: 0, delta: deltaOf(move) },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: stop, stop_sequence: null }, usage: { output_tokens: 20 } },
        { type: 'message_stop' },
      ].map((data) => ({ event: data.type, data })),
    };
  },
};

const contentOf = (move: Move): object =>
  move.kind === 'say'
    ? { type: 'text', text: move.text }
    : { type: 'tool_use', id: move.id, name: move.tool.name, input: move.args };

const startOf = (move: Move): object =>
  move.kind === 'say' ? { type: 'text', text: '' } : { ...contentOf(move), input: {} };

const deltaOf = (move: Move): object =>
  move.kind === 'say'
    ? { type: 'text_delta', text: move.text }
    : { type: 'input_json_delta', partial_json: JSON.stringify(move.args) };
