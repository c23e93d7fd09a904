import * as z from 'zod';
import type { CardUse, Effect, Question, Report } from '../core/report.ts';
import { OUTCOMES } from '../core/report.ts';
import { ToolError } from '../core/errors.ts';
import { isRecord, nearestNames, plural } from '../core/values.ts';
import type { ToolContext } from './tool-context.ts';

/** A tool, as a declaration. `run` receives a context in which no command that changes something starts without a Consent. */
export interface Tool<Input extends z.ZodObject = z.ZodObject, Facts extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Strict: unknown keys are rejected. */
  readonly input: Input;
  /** Arguments that are accepted and not listed. */
  readonly unlisted?: readonly string[];
  /** The typed facts next to the verbatim output. Each may be missing from a result. */
  readonly facts: Facts;
  readonly effect: Effect;
  /** Some of its calls only read, so it is called in read-only mode, too. What it uses has to refuse the other calls then. */
  readonly alsoReads?: boolean;
  readonly card?: CardUse;
  run(input: z.output<Input>, context: ToolContext): Promise<Report<z.output<Facts>> | Question>;
}

/** A tool in a list: only the tool itself knows the types of its input and facts. */
export interface AnyTool extends Omit<Tool, 'run'> {
  /**
   * Checks the arguments of a call and returns the function that runs it.
   * @throws ToolError `invalid-input` that names the problems and the fields.
   */
  prepare(raw: unknown): (context: ToolContext) => Promise<Report<Record<string, unknown>> | Question>;
}

/** Declares a tool; the compiler checks its input and facts against the parameters and the result of `run`. */
export function defineTool<Input extends z.ZodObject, Facts extends z.ZodObject>(tool: Tool<Input, Facts>): AnyTool {
  return {
    ...tool,
    prepare(raw) {
      const given = readArguments(tool.input, raw ?? {});
      const parsed = tool.input.safeParse(given);
      if (!parsed.success) throw invalidInput(tool, parsed.error.issues, given);
      return (context) => tool.run(parsed.data, context);
    },
  };
}

/** Gemini CLI adds this key to the schema of every tool, and passes it on. */
const HOST_KEY = 'wait_for_previous';

/**
 * Drops what a host adds, and optional arguments that a model filled with an empty string. One value stands for a list of one, and a
 * text for the number, boolean or choice that it spells.
 */
function readArguments(input: z.ZodObject, raw: unknown): unknown {
  if (!isRecord(raw)) return raw;
  const fields: Readonly<Record<string, z.ZodType>> = input.shape;
  const isFiller = (name: string, value: unknown): boolean => {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return field === undefined ? name === HOST_KEY : value === '' && field.safeParse(undefined).success;
  };
  return Object.fromEntries(
    Object.entries(raw)
      .filter(([name, value]) => !isFiller(name, value))
      .map(([name, value]) => [name, Object.hasOwn(fields, name) ? readArgument(fields[name], value) : value]),
  );
}

function readArgument(field: unknown, value: unknown): unknown {
  if (field instanceof z.ZodOptional) return readArgument(field.unwrap(), value);
  if (field instanceof z.ZodArray) return Array.isArray(value) || value === null ? value : [value];
  if (typeof value !== 'string') return value;
  if (field instanceof z.ZodNumber) return /^-?\d{1,15}(?:\.\d{1,6})?$/.test(value) ? Number(value) : value;
  if (field instanceof z.ZodBoolean) return value === 'true' || (value === 'false' ? false : value);
  return field instanceof z.ZodEnum ? readChoice(field.options.map(String), value) : value;
}

/** Reads a choice in any case, and in the singular or plural: one tool shows a volume, another one lists volumes. */
function readChoice(options: readonly string[], value: string): string {
  const wanted = value.toLowerCase();
  for (const isMeant of [
    (one: string) => one === wanted,
    (one: string) => `${one}s` === wanted || one === `${wanted}s`,
  ]) {
    const [choice, ...others] = options.filter((one) => isMeant(one.toLowerCase()));
    if (choice !== undefined && others.length === 0) return choice;
  }
  return value;
}

function invalidInput(
  { name, input, unlisted = [] }: Pick<Tool, 'name' | 'input' | 'unlisted'>,
  issues: readonly z.core.$ZodIssue[],
  given: unknown,
): ToolError {
  const fields = Object.keys(input.shape).filter((field) => !unlisted.includes(field));
  return new ToolError(
    'invalid-input',
    `The arguments of ${name} aren't valid, so nothing was run: ${issues.map((issue) => describeIssue(issue, given, fields)).join('; ')}.`,
    `${name} takes: ${fields.join(', ') || 'no arguments'}. Correct them and call it again.`,
  );
}

/** Fields of every result, in addition to the tool's facts. */
const everyResult = z.object({
  outcome: z.enum(OUTCOMES),
  summary: z.string(),
  output: z.string(),
  next: z.string().optional(),
  code: z.string().optional(),
});

/** Returns the schema of a tool's structured content. Open, so that a client with an older list accepts a newer server's facts. */
export function outputSchema(tool: AnyTool): z.ZodObject {
  return z.looseObject({ ...everyResult.shape, ...tool.facts.partial().shape });
}

/** Returns MCP's annotations of a tool, derived from its effect so that they can't disagree with what the gate does. */
export function annotationsOf({ effect }: Pick<AnyTool, 'effect'>): {
  readOnlyHint: boolean;
  destructiveHint?: boolean;
} {
  // Directories require the hint on every write, and `apply` may replace a run: every change counts as destructive. For tools that
  // only read, the hint has no meaning.
  return effect === 'read' ? { readOnlyHint: true } : { readOnlyHint: false, destructiveHint: true };
}

type Issue = z.core.$ZodIssue;
type SizeIssue = z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall;

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

const WRONG_FORM = 'has the wrong form';

/** Names that models use, with the arguments that they mean. */
const MEANT: Readonly<Record<string, readonly string[]>> = {
  name: ['run'],
  run: ['name'],
  runs: ['run', 'name'],
  path: ['file', 'local'],
  filename: ['file'],
  config: ['file'],
  configuration: ['file'],
  content: ['text'],
  yaml: ['text'],
  cmd: ['command'],
  args: ['flags'],
  tail: ['lines'],
  limit: ['last', 'lines'],
  source: ['local'],
  src: ['local'],
  destination: ['remote'],
  dest: ['remote'],
  dst: ['remote'],
  gpu_name: ['gpu'],
  gpu_type: ['gpu'],
};

/** Describes one problem of a tool's arguments: where it is, and what is allowed there. `fields` are those of the whole input. */
function describeIssue(issue: Issue, given: unknown, fields: readonly string[]): string {
  const where = issue.path.map(String).join('.');
  const problem = describeProblem(issue, valueAt(given, issue.path), issue.path.length === 0 ? fields : []);
  return where === '' ? problem : `${where}: ${problem}`;
}

function describeProblem(issue: Issue, value: unknown, fields: readonly string[]): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `unknown ${issue.keys.map((key) => `${JSON.stringify(key)}${suggest(key, fields)}`).join(', ')}`;
    case 'invalid_type': {
      // A message of this server's own has an example.
      const own = issue.message.startsWith('Invalid ') ? undefined : issue.message;
      const expected = own ?? TYPES[issue.expected] ?? issue.expected;
      return value === undefined
        ? `missing; it must be ${issue.expected === 'array' ? 'a value or a list of values' : expected}`
        : `must be ${expected}, not ${typeOf(value)}`;
    }
    case 'invalid_value':
      return `${value === undefined ? 'missing; it must be' : 'must be'} ${oneOf(issue.values)}`;
    case 'too_big':
      return describeSize(issue, 'at most', issue.maximum);
    case 'too_small':
      return describeSize(issue, issue.inclusive === false ? 'more than' : 'at least', issue.minimum);
    case 'invalid_format':
      // A message of this server's own says which text is expected.
      return issue.message.startsWith('Invalid ') ? WRONG_FORM : `must be ${issue.message}`;
    case 'custom':
      return issue.message;
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
      return WRONG_FORM;
    default:
      return issue satisfies never;
  }
}

function suggest(key: string, fields: readonly string[]): string {
  const meant = Object.hasOwn(MEANT, key) ? MEANT[key]?.find((name) => fields.includes(name)) : undefined;
  const [nearest] = meant === undefined ? nearestNames(key, fields) : [meant];
  return nearest === undefined ? '' : ` (did you mean ${nearest}?)`;
}

function describeSize({ origin }: SizeIssue, bound: string, limit: number | bigint): string {
  if (origin === 'string') return `must have ${bound} ${plural(Number(limit), 'character')}`;
  if (origin === 'array') return `must have ${bound} ${plural(Number(limit), 'item')}`;
  return `must be ${bound} ${limit}`;
}

const oneOf = (values: readonly unknown[]): string =>
  `${values.length > 1 ? 'one of ' : ''}${values.map((value) => JSON.stringify(value)).join(', ')}`;

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  // A fraction and a number that isn't finite are numbers, too.
  return typeof value === 'number' ? String(value) : (TYPES[typeof value] ?? typeof value);
}

const valueAt = (given: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (part, key) => (Array.isArray(part) ? part[Number(key)] : isRecord(part) ? part[String(key)] : undefined),
    given,
  );
