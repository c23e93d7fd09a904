type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keys that say nothing to a reader of a tool list, and are sent to a model with every conversation; Gemini refuses the bounds that exclude. */
const SILENT_KEYS: ReadonlySet<string> = new Set([
  '$schema',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'propertyNames',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
]);

/**
 * A JSON schema as it is listed: without what costs tokens and tells little (bounds of lengths, what is so anyway). Of outputs, only
 * the first level is spelled out, since the facts inside name themselves. What is checked is the full schema, not this one.
 */
export function compactSchema(schema: Json, side: 'input' | 'output'): Record<string, unknown> {
  return side === 'input' ? compactInput(schema) : compactOutput(schema);
}

function compactInput(schema: Json): Record<string, unknown> {
  const entries = Object.entries(schema).filter(
    ([key, value]) => !SILENT_KEYS.has(key) && !isSafeIntegerBound(key, value) && !isAnythingGoes(key, value),
  );
  return Object.fromEntries(entries.map(([key, value]) => [key, compactValue(value)]));
}

function compactValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compactValue);
  return isObject(value) ? compactInput(value) : value;
}

// zod writes the bounds of JavaScript's integers into every integer.
const isSafeIntegerBound = (key: string, value: unknown): boolean =>
  (key === 'maximum' || key === 'minimum') && typeof value === 'number' && Math.abs(value) === Number.MAX_SAFE_INTEGER;

// An object takes any property unless it says otherwise.
const isAnythingGoes = (key: string, value: unknown): boolean =>
  key === 'additionalProperties' && isObject(value) && Object.keys(value).length === 0;

/** In every result that is a refusal, beside words that say the same: of no use before there is one. */
const UNLISTED_FACT = 'code';

function compactOutput(schema: Json): Record<string, unknown> {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = schema['required'];
  return {
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(properties)
        .filter(([name]) => name !== UNLISTED_FACT)
        .map(([name, value]) => [name, compactFact(value)]),
    ),
    ...(Array.isArray(required) ? { required } : {}),
  };
}

function compactFact(value: unknown): unknown {
  if (!isObject(value)) return value;
  const { type, description } = value;
  return { type, ...(typeof description === 'string' ? { description } : {}) };
}
