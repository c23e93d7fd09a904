import * as z from 'zod';

/** A JSON schema of a parameter, as far as bad values are derived from it. */
const parameter = z.looseObject({
  type: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  pattern: z.string().optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  minimum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  maximum: z.number().optional(),
  minItems: z.number().optional(),
  maxItems: z.number().optional(),
  items: z.unknown().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  anyOf: z.array(z.unknown()).optional(),
  required: z.array(z.string()).optional(),
});

const toolSchema = z.looseObject({
  properties: z.record(z.string(), z.unknown()).default({}),
  required: z.array(z.string()).default([]),
});

/** A value that a parameter must not take. */
export interface BadValue {
  /** Description of the problem. */
  readonly what: string;
  readonly value: unknown;
  /** `schema`: the parameter's own schema refuses it. `rules`: it fits the schema, and the rules for words of a command line refuse it. */
  readonly refusedBy: 'schema' | 'rules';
}

/** The parameters of a tool, from its own schema. */
export function parametersOf(input: z.ZodObject): {
  readonly name: string;
  readonly required: boolean;
  readonly choices: readonly unknown[];
  readonly bad: readonly BadValue[];
}[] {
  const { properties, required } = toolSchema.parse(z.toJSONSchema(input, { io: 'input' }));
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    required: required.includes(name),
    choices: parameter.parse(schema).enum ?? [],
    bad: badValues(schema),
  }));
}

/** Longer texts are documents, not words of a command line. */
const LONGEST_WORD = 4096;

/** Wrong types, lengths and ranges; for texts also what could be treated as a flag, or is invisible. @throws Error for an unknown kind of schema */
export function badValues(schema: unknown): readonly BadValue[] {
  const { type, enum: choices, ...limits } = parameter.parse(schema);
  const bySchema = (what: string, value: unknown): BadValue => ({ what, value, refusedBy: 'schema' });
  if (choices !== undefined) return [bySchema('not among its choices', 'nonsense'), bySchema('another type', 7)];
  // One of several kinds, none of which is a number or a switch.
  if (limits.anyOf !== undefined) return [bySchema('a number', 7), bySchema('a switch', true)];
  switch (type ?? '') {
    case 'string':
      return badTexts(limits);
    case 'boolean':
      return [bySchema('a text for a switch', 'yes'), bySchema('a number for a switch', 1)];
    case 'integer':
    case 'number':
      return [
        bySchema('a text for a number', 'seven'),
        ...(type === 'integer' ? [bySchema('a fraction', 1.5)] : []),
        ...(limits.minimum === undefined ? [] : [bySchema('too small', limits.minimum - 1)]),
        ...(limits.exclusiveMinimum === undefined ? [] : [bySchema('too small', limits.exclusiveMinimum)]),
        ...(limits.maximum === undefined ? [] : [bySchema('too large', limits.maximum + 1)]),
      ];
    case 'array':
      return [
        // One value stands for a list of one.
        bySchema('an object for a list', {}),
        ...(limits.minItems === undefined || limits.minItems === 0 ? [] : [bySchema('an empty list', [])]),
        ...(limits.maxItems === undefined ? [] : [bySchema('too long a list', Array(limits.maxItems + 1).fill('aa'))]),
        ...badValues(limits.items).map((bad) => ({ ...bad, what: `a list with ${bad.what}`, value: [bad.value] })),
      ];
    case 'object':
      return [bySchema('a text for an object', 'one'), bySchema('a list for an object', [1]), ...badProperties(limits)];
    default:
      throw new Error(`no bad values are known for ${JSON.stringify(schema)}`);
  }
}

/** For an object with properties: an unknown one, a missing required one, and a bad value for each, with good values for the others. */
function badProperties(limits: {
  properties?: Readonly<Record<string, unknown>> | undefined;
  required?: readonly string[] | undefined;
}): BadValue[] {
  const { properties = {}, required = [] } = limits;
  const names = Object.keys(properties);
  if (names.length === 0) return [];
  const good = Object.fromEntries(required.map((name) => [name, 'good']));
  const bad = (what: string, value: unknown): BadValue => ({ what, value, refusedBy: 'schema' });
  return [
    bad('an unknown property', { ...good, nonsense: 1 }),
    ...required.map((name) => bad(`no ${name}`, {})),
    ...names
      .filter((name) => !takesAnything(properties[name]))
      .flatMap((name) =>
        badValues(properties[name])
          .filter(({ refusedBy }) => refusedBy === 'schema')
          .map(({ what, value }) => bad(`${name} with ${what}`, { ...good, [name]: value })),
      ),
  ];
}

/** Omits the value, or uses each kind of value in turn. */
const takesAnything = (schema: unknown): boolean => Object.keys(Object(schema)).every((word) => word === 'anyOf');

function badTexts(limits: {
  pattern?: string | undefined;
  minLength?: number | undefined;
  maxLength?: number | undefined;
}): BadValue[] {
  const { pattern, minLength = 0, maxLength } = limits;
  const refusedBy = pattern === undefined ? 'rules' : 'schema';
  return [
    { what: 'a number for a text', value: 7, refusedBy: 'schema' },
    ...(minLength > 0 || pattern !== undefined
      ? [{ what: 'an empty text', value: '', refusedBy: 'schema' } as const]
      : []),
    ...(maxLength === undefined
      ? []
      : [{ what: 'too long', value: 'a'.repeat(maxLength + 1), refusedBy: 'schema' } as const]),
    ...(pattern !== undefined && maxLength === undefined
      ? [{ what: 'too long', value: 'a'.repeat(5_000), refusedBy: 'schema' } as const]
      : []),
    ...(pattern === undefined && (maxLength ?? Infinity) > LONGEST_WORD
      ? []
      : [
          { what: 'a leading dash', value: '-y', refusedBy } as const,
          { what: 'a control character', value: 'a\u001b[2Jb', refusedBy } as const,
          { what: 'a line break', value: 'aa\nbb', refusedBy } as const,
        ]),
  ];
}
