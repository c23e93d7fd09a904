import { expect, test } from 'vitest';
import { createScript, isDone, nextOfRound, tokenIn } from '../../../scripts/hosts/round.ts';
import type { Played } from '../../../scripts/hosts/round.ts';
import { anthropic } from '../../../scripts/hosts/model/anthropic.ts';
import { chatCompletions } from '../../../scripts/hosts/model/chat-completions.ts';
import { gemini } from '../../../scripts/hosts/model/gemini.ts';
import type { GivenTool, ModelRequest } from '../../../scripts/hosts/model/model-api.ts';
import { responses } from '../../../scripts/hosts/model/responses.ts';

const TOKEN = 'create-task-train-0.39usd-691kb51-zm9hjvy';
const named = (name: string, more: Partial<GivenTool> = {}): GivenTool => ({
  name,
  description: '',
  schema: {},
  ...more,
});

test.each([
  ['text', `token: ${TOKEN}`],
  ['Markdown', `**Token:** \`${TOKEN}\``],
  ['JSON', JSON.stringify({ token: TOKEN })],
  ['JSON in JSON', JSON.stringify({ text: JSON.stringify({ token: TOKEN }) })],
])('a token is found in %s', (_form, text) => {
  expect(tokenIn(text)).toBe(TOKEN);
});

test('a result without a token has none', () => {
  expect(tokenIn('The token is spent.')).toBeUndefined();
});

test('only the outcome `done` counts as a change', () => {
  expect([isDone('outcome: done | operation: create'), isDone(JSON.stringify({ outcome: 'done' }))]).toEqual([
    true,
    true,
  ]);
  expect([isDone('outcome: refused'), isDone('It is done.')]).toEqual([false, false]);
});

/** Plays one request with the given tools and results. */
function play(tools: readonly GivenTool[], results: ModelRequest['results'] = []) {
  const played: Played = { tools: new Set(), calls: [] };
  return createScript(nextOfRound('train'), { played })({ tools, results });
}

test.each<[string, readonly GivenTool[], object]>([
  ['by the name with a prefix', [named('mcp__dstack__plan')], { tool: { name: 'mcp__dstack__plan' } }],
  [
    'in a namespace',
    [named('plan', { namespace: 'mcp__dstack' })],
    { tool: { name: 'plan', namespace: 'mcp__dstack' } },
  ],
  ['after a search', [named('ToolSearch')], { tool: { name: 'ToolSearch' }, id: 'call_dstack_0_search' }],
  ['as code', [named('run_typescript')], { args: { code: expect.stringContaining('tools.mcp_dstack.plan({"file":') } }],
])('a tool is called %s', (_how, tools, expected) => {
  expect(play(tools)).toMatchObject({ kind: 'call', ...expected });
});

test('a tool of another server with the same name is not called', () => {
  expect(play([named('plan')])).toMatchObject({ kind: 'say', text: 'There is no tool plan.' });
});

test('the fields that a host requires of every call are filled', () => {
  const tool = named('dstack_plan', { schema: { properties: { file: {}, security_risk: {}, summary: {} } } });
  expect(play([tool])).toMatchObject({
    args: { file: 'train.dstack.yml', security_risk: 'LOW', summary: expect.any(String) },
  });
});

test('the round ends after a change that was refused', () => {
  const results = [
    { id: 'call_dstack_0_plan', text: `token: ${TOKEN}` },
    { id: 'call_dstack_1_apply', text: 'outcome: refused' },
  ];
  expect(play([named('dstack_plan')], results)).toMatchObject({ kind: 'say', text: 'The round is finished.' });
});

const RESULT = { id: 'call_dstack_0_plan', text: 'line 1\nline 2' };
const SCHEMA = { type: 'object' };

test.each([
  [
    'Anthropic',
    anthropic,
    {
      tools: [{ name: 'mcp__dstack__plan', description: 'Plan', input_schema: SCHEMA }],
      messages: [
        { role: 'user', content: 'Start the run' },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: RESULT.id, content: [{ type: 'text', text: RESULT.text }] }],
        },
      ],
    },
    'mcp__dstack__plan',
  ],
  [
    'OpenAI chat completions',
    chatCompletions,
    {
      tools: [{ type: 'function', function: { name: 'dstack_plan', description: 'Plan', parameters: SCHEMA } }],
      messages: [
        { role: 'user', content: 'Start the run' },
        { role: 'tool', tool_call_id: RESULT.id, content: RESULT.text },
      ],
    },
    'dstack_plan',
  ],
  [
    'OpenAI responses',
    responses,
    {
      tools: [
        { type: 'namespace', name: 'mcp__dstack', tools: [{ name: 'plan', description: 'Plan', parameters: SCHEMA }] },
      ],
      input: [{ type: 'function_call_output', call_id: RESULT.id, output: RESULT.text }],
    },
    'plan',
  ],
  [
    'Gemini',
    gemini,
    {
      tools: [
        { functionDeclarations: [{ name: 'mcp_dstack_plan', description: 'Plan', parametersJsonSchema: SCHEMA }] },
      ],
      contents: [{ role: 'user', parts: [{ functionResponse: { id: RESULT.id, response: { output: RESULT.text } } }] }],
    },
    'mcp_dstack_plan',
  ],
])('requests of the API of %s are read', (_title, api, body, name) => {
  const { tools, results } = api.read(body);
  expect(tools).toEqual([expect.objectContaining({ name, description: 'Plan', schema: SCHEMA })]);
  expect(results).toEqual([RESULT]);
});
