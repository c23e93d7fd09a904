import { expect, test } from 'vitest';
import * as z from 'zod';
import { annotationsOf, defineTool, outputSchema } from '../../../src/tool/tool.ts';
import { tools } from '../../../tools/index.ts';

const tool = defineTool({
  name: 'example',
  title: 'An example',
  description: 'An example.',
  input: z.strictObject({ name: z.string().max(3), nodes: z.array(z.object({ id: z.number() })).optional() }),
  facts: z.object({ status: z.string() }),
  effect: 'read',
  run: async () => ({ outcome: 'done', summary: 'It is done.', printed: [], facts: {} }),
});

test('every problem of the arguments is named with its place', () => {
  expect(() => tool.prepare({ name: 'long', nodes: [{ id: 'x' }], more: 1 })).toThrow(
    expect.objectContaining({
      code: 'invalid-input',
      message: expect.stringMatching(/nothing was run: name: .*; nodes\.0\.id: .*; unknown "more"\.$/),
      hint: expect.stringContaining('name, nodes'),
    }),
  );
});

test('an unknown key of a part is named with the part', () => {
  const strict = defineTool({ ...definition(), input: z.strictObject({ part: z.strictObject({}) }) });
  expect(() => strict.prepare({ part: { x: 1 } })).toThrow(/part: unknown "x"/);
});

test('a tool without arguments says that it takes none', () => {
  const none = defineTool({ ...definition(), input: z.strictObject({}) });
  expect(() => none.prepare({ x: 1 })).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('no arguments') }),
  );
});

test('a result may lack each of its facts, and may have more than the schema says', () => {
  const schema = outputSchema(tool);
  const result = { outcome: 'done', summary: 'x', output: '' };
  expect(schema.safeParse(result).success).toBe(true);
  expect(schema.safeParse({ ...result, status: 'running', newer: true }).data).toMatchObject({ newer: true });
  expect(schema.safeParse({ ...result, status: 7 }).success).toBe(false);
  expect(schema.safeParse({ ...result, outcome: 'perhaps' }).success).toBe(false);
});

test('the annotations of every tool follow from its effect', () => {
  expect(annotationsOf({ effect: 'read' })).toEqual({ readOnlyHint: true });
  for (const effect of ['change', 'destroy'] as const)
    expect(annotationsOf({ effect })).toEqual({ readOnlyHint: false, destructiveHint: true });
  for (const one of tools) expect(annotationsOf(one).readOnlyHint, one.name).toBe(one.effect === 'read');
});

const definition = () => ({
  name: 'example',
  title: 'An example',
  description: 'An example.',
  facts: z.object({}),
  effect: 'read' as const,
  run: async () => ({ outcome: 'done' as const, summary: 'It is done.', printed: [], facts: {} }),
});
