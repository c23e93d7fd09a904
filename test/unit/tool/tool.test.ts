import { expect, test, vi } from 'vitest';
import * as z from 'zod';
import { annotationsOf, defineTool, outputSchema } from '../../../src/tool/tool.ts';
import type { AnyTool } from '../../../src/tool/tool.ts';
import type { Report } from '../../../src/core/report.ts';
import { tools } from '../../../tools/index.ts';

const definition = () => ({
  name: 'example',
  title: 'An example',
  description: 'An example.',
  facts: z.object({}),
  effect: 'read' as const,
  run: async () => ({ outcome: 'done' as const, summary: 'It is done.', printed: [], facts: {} }),
});

/** Runs a tool that needs nothing of its context; returns the input that it got. */
function inputOf(input: z.ZodObject, given: unknown): unknown {
  const run = vi.fn<(input: unknown) => Promise<Report<object>>>(definition().run);
  void Reflect.apply(defineTool({ ...definition(), input, run }).prepare(given), undefined, []);
  return run.mock.calls[0]?.[0];
}

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

const limits = defineTool({
  ...definition(),
  input: z.strictObject({
    name: z
      .string()
      .min(2)
      .max(4)
      .regex(/^[a-z]+$/, 'lowercase letters'),
    mode: z.enum(['on', 'off']),
    count: z.int().min(1).max(9).optional(),
    price: z.number().positive().optional(),
    list: z.array(z.string()).min(1).max(2).optional(),
    flags: z.record(z.string(), z.unknown()).optional(),
    full: z.boolean().optional(),
    wait: z.string('a duration, for example "30s"').optional(),
  }),
});

test.for([
  [{ name: 'aaaaa', mode: 'on' }, 'name: must have at most 4 characters'],
  [{ name: 'a', mode: 'on' }, 'name: must have at least 2 characters'],
  [{ name: 'AA', mode: 'on' }, 'name: must be lowercase letters'],
  [{ mode: 'on' }, 'name: missing; it must be a string'],
  [{ name: null, mode: 'on' }, 'name: must be a string, not null'],
  [{ name: 'ab' }, 'mode: missing; it must be one of "on", "off"'],
  [{ name: 'ab', mode: 'auto' }, 'mode: must be one of "on", "off"'],
  [{ name: 'ab', mode: 'on', count: 1.5 }, 'count: must be a whole number, not 1.5'],
  [{ name: 'ab', mode: 'on', count: 'three' }, 'count: must be a number, not a string'],
  [{ name: 'ab', mode: 'on', count: 0 }, 'count: must be at least 1'],
  [{ name: 'ab', mode: 'on', count: 10 }, 'count: must be at most 9'],
  [{ name: 'ab', mode: 'on', price: 0 }, 'price: must be more than 0'],
  [{ name: 'ab', mode: 'on', list: [] }, 'list: must have at least 1 item'],
  [{ name: 'ab', mode: 'on', list: ['a', 'b', 'c'] }, 'list: must have at most 2 items'],
  [{ name: 'ab', mode: 'on', list: ['a', 7] }, 'list.1: must be a string, not 7'],
  [{ name: 'ab', mode: 'on', flags: [] }, 'flags: must be an object, not a list'],
  [{ name: 'ab', mode: 'on', full: 'yes' }, 'full: must be true or false, not a string'],
  [{ name: 'ab', mode: 'on', wait: 3 }, 'wait: must be a duration, for example "30s", not 3'],
  ['text', 'must be an object, not a string'],
] as const)('the problem of %j is described in words of this server', ([given, problem]) => {
  expect(() => limits.prepare(given)).toThrow(`nothing was run: ${problem}.`);
});

test('no problem is described in the words of the validator, whichever tool has it', () => {
  const bad = [7, 'x'.repeat(10_001), {}, [], null, -1];
  const problems = tools.flatMap((one) =>
    Object.keys(one.input.shape).flatMap((field) => bad.map((value) => problemOf(one, { [field]: value }))),
  );
  expect(problems.filter((problem) => /Invalid|Too (?:big|small)|expected (?!hash)/.test(problem))).toEqual([]);
});

function problemOf(one: AnyTool, given: unknown): string {
  try {
    one.prepare(given);
    return '';
  } catch (error) {
    return `${one.name}: ${String(error)}`;
  }
}

test('one value stands for a list of one', () => {
  const lists = z.strictObject({ names: z.array(z.string()), more: z.array(z.string()).optional() });
  expect(inputOf(lists, { names: 'a', more: 'b' })).toEqual({ names: ['a'], more: ['b'] });
  expect(inputOf(lists, { names: ['a'], more: '' })).toEqual({ names: ['a'] });
  expect(() => inputOf(lists, { names: null })).toThrow('names: must be a list, not null');
  expect(() => inputOf(lists, { names: 7 })).toThrow('names.0: must be a string, not 7');
});

test('a key that Gemini CLI adds to every tool is dropped, and no other one', () => {
  const named = z.strictObject({ name: z.string() });
  expect(inputOf(named, { name: 'a', wait_for_previous: true })).toEqual({ name: 'a' });
  expect(() => inputOf(named, { name: 'a', wait_for_next: true })).toThrow(/unknown "wait_for_next"/);
  const own = z.strictObject({ wait_for_previous: z.boolean() });
  expect(inputOf(own, { wait_for_previous: true })).toEqual({ wait_for_previous: true });
});

test('an empty string is absent where it is optional, and a problem where it is required', () => {
  const input = z.strictObject({
    name: z.string().min(1),
    project: z.string().min(1).optional(),
    mode: z.enum(['a']).optional(),
    count: z.int().optional(),
    edits: z.array(z.object({ value: z.string().optional() })).optional(),
  });
  const given = { name: 'a', project: '', mode: '', count: '', edits: [{ value: '' }] };
  expect(inputOf(input, given)).toEqual({ name: 'a', edits: [{ value: '' }] });
  expect(() => inputOf(input, { name: '' })).toThrow(/name: must have at least 1 character\./);
  expect(() => inputOf(input, { name: 'a', project: ' ', mode: ' ' })).toThrow(/mode: must be "a"/);
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
  expect(annotationsOf({ effect: 'change' })).toEqual({ readOnlyHint: false, destructiveHint: true });
  for (const one of tools) expect(annotationsOf(one).readOnlyHint, one.name).toBe(one.effect === 'read');
});

test('a text stands for the number, boolean or choice that it spells, and for nothing else', () => {
  const input = z.strictObject({
    price: z.number().optional(),
    count: z.int().optional(),
    full: z.boolean().optional(),
    method: z.enum(['GET', 'POST']).optional(),
  });
  expect(inputOf(input, { price: '0.5', count: '20', full: 'false', method: 'get' })).toEqual({
    price: 0.5,
    count: 20,
    full: false,
    method: 'GET',
  });
  for (const wrong of [{ price: '1e3' }, { price: '0x1' }, { count: '1.5' }, { full: 'yes' }, { method: 'gett' }])
    expect(() => inputOf(input, wrong)).toThrow("aren't valid");
});

test('a choice is read in the singular and the plural, if one alone is meant', () => {
  const input = z.strictObject({ type: z.enum(['volume', 'gateways', 'alias', 'aliass']) });
  expect(inputOf(input, { type: 'Volumes' })).toEqual({ type: 'volume' });
  expect(inputOf(input, { type: 'gateway' })).toEqual({ type: 'gateways' });
  expect(inputOf(input, { type: 'alias' })).toEqual({ type: 'alias' });
  expect(() => inputOf(input, { type: 'volumess' })).toThrow("aren't valid");
});

test('an unknown argument is answered with the one that is meant', () => {
  const input = z.strictObject({ name: z.string(), gpu: z.string().optional(), lines: z.int().optional() });
  for (const [unknown, meant] of [
    ['run', 'name'],
    ['gpu_name', 'gpu'],
    ['tail', 'lines'],
    ['nmae', 'name'],
  ] as const)
    expect(() => inputOf(input, { [unknown]: 'x' })).toThrow(`unknown "${unknown}" (did you mean ${meant}?)`);
  expect(() => inputOf(input, { name: 'a', whatever: 1 })).toThrow('unknown "whatever".');
});
