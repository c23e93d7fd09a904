import * as z from 'zod';
import { textOf } from './model-api.ts';
import type { GivenTool, ModelApi, Move, ServerEvent } from './model-api.ts';

const tool = z.looseObject({
  name: z.string(),
  description: z.string().default(''),
  parameters: z.unknown().optional(),
});
const namespace = z.looseObject({ type: z.literal('namespace'), name: z.string(), tools: z.array(tool) });
const output = z.looseObject({
  type: z.literal('function_call_output'),
  call_id: z.string(),
  output: z.unknown().optional(),
});
const body = z.looseObject({ tools: z.array(z.unknown()).default([]), input: z.unknown().optional() });

/** OpenAI's Responses. */
export const responses: ModelApi = {
  path: /\/responses/,
  read(raw) {
    const { tools, input } = body.parse(raw);
    const items: readonly unknown[] = Array.isArray(input) ? input : [];
    return {
      tools: tools.flatMap(readTools),
      results: items.flatMap((item) => {
        const { data } = output.safeParse(item);
        return data === undefined ? [] : [{ id: data.call_id, text: textOf(data.output) }];
      }),
    };
  },
  answer(move, { id, isStream, model }) {
    const item = itemOf(move, id);
    const usage = {
      input_tokens: 100,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 20,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 120,
    };
    const response = { id: `resp_${id}`, object: 'response', created_at: 1_700_000_000, model, usage, error: null };
    const done = { ...response, status: 'completed', output: [item] };
    if (!isStream) return { kind: 'json', body: done };
    const events = [
      { type: 'response.created', response: { ...response, status: 'in_progress', output: [] } },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress' } },
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response: done },
    ];
    return { kind: 'events', events: events.map((data): ServerEvent => ({ event: data.type, data })) };
  },
};

function readTools(raw: unknown): GivenTool[] {
  const group = namespace.safeParse(raw).data;
  if (group !== undefined) return group.tools.map((one) => ({ ...toGiven(one), namespace: group.name }));
  const { data } = tool.safeParse(raw);
  return data === undefined ? [] : [toGiven(data)];
}

const toGiven = ({ name, description, parameters }: z.output<typeof tool>): GivenTool => ({
  name,
  description,
  schema: parameters,
});

function itemOf(move: Move, id: string): object {
  if (move.kind === 'say') {
    const content = [{ type: 'output_text', text: move.text, annotations: [] }];
    return { type: 'message', id: `msg_${id}`, role: 'assistant', status: 'completed', content };
  }
  const args = JSON.stringify(move.args);
  return {
    type: 'function_call',
    id: `fc_${id}`,
    call_id: move.id,
    ...move.tool,
    arguments: args,
    status: 'completed',
  };
}
