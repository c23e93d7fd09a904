type Json = Readonly<Record<string, unknown>>;

/** A schema, or a schema inside one. */
export interface Place {
  /** Its location, for example `plan.inputSchema.properties.file`. */
  readonly path: string;
  readonly side: 'input' | 'output';
  readonly isRoot: boolean;
  readonly schema: Json;
}

/** A host's (or its model API's) rule for schemas. A tool that breaks it is dropped, or fails every request. */
export interface HostRule {
  readonly host: string;
  readonly rule: string;
  readonly source: string;
  /** Returns whether a schema breaks the rule. */
  readonly isBrokenBy: (place: Place) => boolean;
}

const COMBINATORS = ['oneOf', 'anyOf', 'allOf'];

/** The keywords of Google's subset, and the one that its own clients remove. */
const GEMINI_KEYWORDS = words(
  'type format title description nullable enum default example pattern anyOf items properties required propertyOrdering ' +
    'minItems maxItems minLength maxLength minProperties maxProperties minimum maximum additionalProperties',
);
const GEMINI_FORMATS = words('enum date-time float double int32 int64');
const OPENAI_FORMATS = words('date-time time date duration email hostname ipv4 ipv6 uuid');
/** The discriminator of its actions, their only field, and what it adds to every tool. */
const OPENHANDS_FIELDS = words('kind data security_risk summary');

function words(text: string): ReadonlySet<unknown> {
  return new Set(text.split(' '));
}

const hasAny = (schema: Json, keys: Iterable<string>): boolean => [...keys].some((key) => Object.hasOwn(schema, key));

const isOf =
  (side: Place['side'], breaks: (schema: Json, place: Place) => boolean) =>
  (place: Place): boolean =>
    place.side === side && breaks(place.schema, place);

const hasNoItems = (schema: Json): boolean => schema['type'] === 'array' && !isSchema(schema['items']);

/** The rules of the strictest hosts, each with its source. */
export const HOST_RULES: readonly HostRule[] = [
  {
    host: 'Anthropic',
    rule: 'no combination of schemas at the top of an input',
    source: 'https://github.com/anthropics/claude-code/issues/40075',
    isBrokenBy: isOf('input', (schema, { isRoot }) => isRoot && hasAny(schema, COMBINATORS)),
  },
  {
    host: 'Anthropic',
    rule: 'no reference in an input',
    source: 'https://platform.claude.com/docs/en/managed-agents/self-hosted-sandboxes',
    isBrokenBy: isOf('input', (schema) => hasAny(schema, ['$ref', '$defs', 'definitions'])),
  },
  {
    host: 'Anthropic',
    rule: 'properties are named by up to 64 letters, digits, underscores, dots and hyphens',
    source: 'https://platform.claude.com/docs/en/managed-agents/self-hosted-sandboxes',
    isBrokenBy: isOf('input', (schema) => namesOf(schema).some((name) => !/^[a-zA-Z0-9_.-]{1,64}$/.test(name))),
  },
  {
    host: 'OpenAI',
    rule: 'an input is an object, and has no combination, enum or negation at the top',
    source: 'https://github.com/langchain-ai/langchainjs/issues/9804',
    isBrokenBy: isOf(
      'input',
      (schema, { isRoot }) =>
        isRoot && (schema['type'] !== 'object' || hasAny(schema, [...COMBINATORS, 'enum', 'not'])),
    ),
  },
  {
    host: 'OpenAI',
    rule: 'an input lists its properties',
    source: 'https://github.com/openai/openai-agents-python/pull/454',
    isBrokenBy: isOf('input', (schema, { isRoot }) => isRoot && !isSchema(schema['properties'])),
  },
  {
    host: 'OpenAI',
    rule: 'no keyword in an input that function calling rejects, at any depth',
    source: 'https://github.com/can1357/oh-my-pi/issues/920',
    isBrokenBy: isOf('input', (schema) =>
      hasAny(schema, [
        'oneOf',
        'allOf',
        'not',
        'if',
        'then',
        'else',
        'dependentRequired',
        'dependentSchemas',
        'uniqueItems',
      ]),
    ),
  },
  {
    host: 'OpenAI',
    rule: 'only the formats that strict function calling knows',
    source: 'https://platform.openai.com/docs/guides/structured-outputs#supported-schemas',
    isBrokenBy: ({ schema }) => Object.hasOwn(schema, 'format') && !OPENAI_FORMATS.has(schema['format']),
  },
  {
    host: 'OpenAI',
    rule: 'each property has a type, or alternatives with one',
    source: 'https://github.com/1jehuang/jcode/issues/713',
    isBrokenBy: isOf('input', (schema) => !hasAny(schema, ['type', 'anyOf'])),
  },
  {
    host: 'Gemini',
    rule: 'each property has one type, or alternatives with one; otherwise the whole tool is dropped',
    source: 'https://github.com/google-gemini/gemini-cli/pull/5694',
    isBrokenBy: isOf('input', (schema) => typeof schema['type'] !== 'string' && !hasAny(schema, ['anyOf'])),
  },
  {
    host: 'Gemini',
    rule: 'no keyword in an input outside of the subset',
    source: 'https://ai.google.dev/api/caching#Schema',
    isBrokenBy: isOf('input', (schema) => Object.keys(schema).some((key) => !GEMINI_KEYWORDS.has(key))),
  },
  {
    host: 'Gemini',
    rule: 'only the formats of the subset',
    source: 'https://github.com/google-gemini/gemini-cli/issues/2237',
    isBrokenBy: ({ schema }) => Object.hasOwn(schema, 'format') && !GEMINI_FORMATS.has(schema['format']),
  },
  {
    host: 'Gemini',
    rule: 'an enum has strings only, none of them empty',
    source: 'https://github.com/sbroenne/mcp-server-excel/issues/607',
    isBrokenBy: isOf('input', ({ type, enum: values }) => Array.isArray(values) && !isEnumOfWords(type, values)),
  },
  {
    host: 'Gemini',
    rule: 'properties only where the type is an object',
    source: 'https://github.com/anomalyco/opencode/issues/11889',
    isBrokenBy: isOf('input', (schema) => schema['type'] !== 'object' && hasAny(schema, ['properties', 'required'])),
  },
  {
    host: 'VS Code',
    rule: 'an array in an input has items',
    source: 'https://github.com/microsoft/vscode/issues/284536',
    isBrokenBy: isOf('input', hasNoItems),
  },
  {
    host: 'Cursor',
    rule: 'JSON Schema of draft 2020-12: no tuple as `items`, no `definitions`, no boolean bounds',
    source: 'https://github.com/afrise/MCPSharp/issues/9',
    isBrokenBy: ({ schema }) =>
      Array.isArray(schema['items']) ||
      Object.hasOwn(schema, 'definitions') ||
      typeof schema['exclusiveMinimum'] === 'boolean' ||
      typeof schema['exclusiveMaximum'] === 'boolean',
  },
  {
    host: 'OpenHands',
    rule: "no argument has the name of a field of OpenHands' actions, which ends the agent before its first turn",
    source: 'https://github.com/OpenHands/software-agent-sdk/blob/main/openhands-sdk/openhands/sdk/mcp/tool.py',
    isBrokenBy: isOf(
      'input',
      (schema, { isRoot }) => isRoot && namesOf(schema).some((name) => OPENHANDS_FIELDS.has(name)),
    ),
  },
  {
    host: 'every client with the TypeScript SDK',
    rule: 'an output is an object; otherwise the whole list is lost',
    source: 'https://github.com/opentokenz/mcpx/issues/28',
    isBrokenBy: isOf('output', (schema, { isRoot }) => isRoot && schema['type'] !== 'object'),
  },
  {
    host: 'every client that compiles output schemas',
    rule: 'no reference and no combination at the top of an output',
    source: 'https://modelcontextprotocol.io/specification/2025-11-25/server/tools#output-schema',
    isBrokenBy: isOf(
      'output',
      (schema, { isRoot }) => hasAny(schema, ['$ref', '$defs']) || (isRoot && hasAny(schema, COMBINATORS)),
    ),
  },
];

/** Cursor limits the length of the configured server name plus the tool name. Source: https://github.com/awslabs/mcp/issues/1283 */
export const MAX_NAME_CHARACTERS = 60;

/** Returns every schema of a tool, nested ones included. */
export function placesOf(tool: { name: string; inputSchema: Json; outputSchema?: Json }): Place[] {
  return [
    ...below(tool.inputSchema, { path: `${tool.name}.inputSchema`, side: 'input', isRoot: true }),
    ...below(tool.outputSchema ?? {}, { path: `${tool.name}.outputSchema`, side: 'output', isRoot: true }),
  ];
}

function below(schema: Json, place: Omit<Place, 'schema'>): Place[] {
  const inner = Object.entries(schema).flatMap(([key, value]) => {
    const path = `${place.path}.${key}`;
    if (key === 'properties' && isSchema(value))
      return Object.entries(value).map(([name, one]) => ({ path: `${path}.${name}`, one }));
    if (COMBINATORS.includes(key) && Array.isArray(value))
      return value.map((one: unknown, index) => ({ path: `${path}.${index}`, one }));
    return ['items', 'additionalProperties', 'not'].includes(key) ? [{ path, one: value }] : [];
  });
  return [
    { ...place, schema },
    ...inner.flatMap(({ path, one }) => (isSchema(one) ? below(one, { path, side: place.side, isRoot: false }) : [])),
  ];
}

const isSchema = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const namesOf = (schema: Json): string[] => (isSchema(schema['properties']) ? Object.keys(schema['properties']) : []);

const isEnumOfWords = (type: unknown, values: readonly unknown[]): boolean =>
  type === 'string' && values.every((value) => typeof value === 'string' && value !== '');
