import { expect, test } from 'vitest';
import { describeTool } from '../../../src/mcp/describe-tool.ts';
import { TOOL_LIST, listTools } from '../../../src/mcp/tool-list.ts';
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
