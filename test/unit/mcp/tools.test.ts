import { expect, test } from 'vitest';
import { describeTool } from '../../../scripts/docs/describe-tool.ts';
import { createToolNaming, listTools, TOOL_LIST } from '../../../src/mcp/tools.ts';
import { annotationsOf, outputSchema } from '../../../src/tool/tool.ts';
import { tools } from '../../../tools/index.ts';

const FOR_MODELS = { cards: false, structured: false };

test('tool-list.json has every tool as it is declared', () => {
  // Changed on purpose? Run npm run generate, review the file, and add the change to CHANGELOG.md.
  expect(TOOL_LIST).toEqual(tools.map(describeTool));
});

const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);

test('tools are listed in the order of tools/index.ts, and the list fits in 12 KB', () => {
  const listed = listTools(TOOL_LIST, FOR_MODELS);
  expect(names(listed)).toEqual(names(tools).filter((name) => name !== 'decide'));
  expect(listed.length).toBeLessThanOrEqual(21);
  expect(Buffer.byteLength(JSON.stringify({ tools: listed }))).toBeLessThanOrEqual(12_288);
});

test('only a client with cards is shown the tool of their buttons, and which tools have a card', () => {
  expect(JSON.stringify(listTools(TOOL_LIST, FOR_MODELS))).not.toMatch(/decide|ui:\/\/|_meta/);
  const withCards = listTools(TOOL_LIST, { ...FOR_MODELS, cards: true });
  expect(names(withCards)).toEqual(names(tools));
  const meta = new Map(withCards.map((tool) => [tool.name, tool._meta]));
  expect(meta.get('decide')).toEqual({ ui: { visibility: ['app'] } });
  expect(meta.get('plan')).toEqual({ ui: { resourceUri: 'ui://dstack/card' } });
  expect(meta.get('logs')).toBeUndefined();
});

test('output schemas are listed only where results have structured content', () => {
  for (const tool of listTools(TOOL_LIST, { ...FOR_MODELS, cards: true }))
    expect(tool, tool.name).not.toHaveProperty('outputSchema');
  for (const { name, outputSchema: schema } of listTools(TOOL_LIST, { ...FOR_MODELS, structured: true }))
    expect(schema, name).toMatchObject({ type: 'object', properties: { outcome: {}, summary: {}, output: {} } });
});

test('a prefix is put before every name', () => {
  const listed = listTools(TOOL_LIST, { cards: true, structured: false, prefix: 'dstack_' });
  expect(names(listed)).toEqual(names(tools).map((name) => `dstack_${name}`));
});

test('every tool has a title, a description, and annotations for its effect', () => {
  for (const [index, { name, title, description, annotations }] of listTools(TOOL_LIST, {
    cards: true,
    structured: false,
  }).entries()) {
    expect(name, name).toMatch(/^[a-z][a-z_]{1,30}$/);
    expect(title.length, name).toBeGreaterThan(3);
    expect(description, name).toMatch(/^[A-Z].{40,}\.$/);
    const tool = tools[index];
    expect(annotations, name).toEqual(tool === undefined ? undefined : annotationsOf(tool));
    expect(annotations.readOnlyHint, name).toBe(tool?.effect === 'read');
    // Directories require it on every write; for read-only tools it has no meaning.
    expect(annotations.destructiveHint, name).toBe(tool?.effect === 'read' ? undefined : true);
  }
});

test('an unknown argument is refused by the call, and doesn’t close the list to keys that hosts add', () => {
  for (const tool of tools) {
    expect(() => tool.prepare({ no_such_argument: 1 }), tool.name).toThrow(/unknown "no_such_argument"/);
    expect(outputSchema(tool).safeParse({ outcome: 'done', summary: '', output: '', more: 1 }).success).toBe(true);
  }
  for (const { inputSchema } of listTools(TOOL_LIST, FOR_MODELS))
    expect(inputSchema).not.toHaveProperty('additionalProperties');
});

const name = createToolNaming(
  'gpu_',
  tools.map((tool) => tool.name),
);

test.each([
  [
    'Show this plan to the user. Only after they approve, call apply with the token.',
    'Show this plan to the user. Only after they approve, call gpu_apply with the token.',
  ],
  ['Call plan again and show the user its result.', 'Call gpu_plan again and show the user its result.'],
  [
    'Check the current state with ps, get, fleet or list before anything else.',
    'Check the current state with gpu_ps, gpu_get, gpu_fleet or gpu_list before anything else.',
  ],
  ['Use write_config, then plan with a file.', 'Use gpu_write_config, then gpu_plan with a file.'],
  ['call plan, stop or delete to get one', 'call gpu_plan, gpu_stop or gpu_delete to get one'],
  ['A run needs a fleet; fleet with `fleet` shows it.', 'A run needs a fleet; gpu_fleet with `fleet` shows it.'],
  [
    '`dstack apply -f x` or dstack ps; set fleet.yml and /plan/ in the file',
    '`dstack apply -f x` or dstack ps; set fleet.yml and /plan/ in the file',
  ],
  [
    'plan-a isn’t a tool, nor is "logs", explanation or applying.',
    'plan-a isn’t a tool, nor is "logs", explanation or applying.',
  ],
  ['Get it. List it.', 'Get it. List it.'],
])('a text names tools with the prefix: %s', (text, expected) => {
  expect(name(text)).toBe(expected);
});

test('without a prefix every text stays the same', () => {
  expect(createToolNaming('', ['plan'])('call plan')).toBe('call plan');
});
