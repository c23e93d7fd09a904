import path from 'node:path';
import type * as z from 'zod';
import { joinOr, plural } from '../core/format-values.ts';
import { ToolError } from '../core/errors.ts';
import { isRecord } from '../core/values.ts';
import { nearestNames } from '../dstack/argv/nearest-names.ts';

/** The part of a tool that an explanation names. */
interface Called {
  readonly name: string;
  readonly input: z.ZodObject;
}

/** Look-ups for a better explanation. */
export interface ErrorSources {
  /** Returns the paths of the workspace's configurations. */
  readonly findFiles: () => Promise<readonly string[]>;
}

/** Adds the next step that only the tool knows: the file that was meant, or its argument for a flag. */
export async function explainError(
  failure: unknown,
  { tool, raw }: { readonly tool: Called; readonly raw: unknown },
  { findFiles }: ErrorSources,
): Promise<unknown> {
  if (!(failure instanceof ToolError)) return failure;
  const { code, hint } = failure;
  if (code === 'unknown-flag') return withHint(failure, [hint, nameArguments(tool, hint)]);
  const file = isRecord(raw) ? raw['file'] : undefined;
  if ((code !== 'file-not-found' && code !== 'not-a-configuration') || typeof file !== 'string') return failure;
  const near = nearestFiles(file, await findFiles().catch(() => []));
  return withHint(failure, [near.length === 0 ? '' : `Did you mean ${joinOr(near)}?`, hint]);
}

function withHint(error: ToolError, parts: readonly string[]): ToolError {
  const { code, message, untrusted } = error;
  return new ToolError(code, message, parts.filter(Boolean).join(' '), { cause: error, untrusted });
}

/** Returns the configurations whose names without folders and endings are the same as that of a file, or nearly so. */
function nearestFiles(file: string, files: readonly string[]): readonly string[] {
  const wanted = stemOf(file);
  const same = files.filter((one) => stemOf(one) === wanted);
  if (same.length > 0) return same.slice(0, 2);
  const near = nearestNames(wanted, [...new Set(files.map(stemOf))]).slice(0, 2);
  return near.flatMap((stem) => files.find((one) => stemOf(one) === stem) ?? []);
}

const stemOf = (file: string): string => path.posix.basename(file).replace(/(?:\.dstack)?(?:\.ya?ml)?$/i, '');

/** The arguments that have another name than their flag. */
const RENAMED: ReadonlyMap<string, string> = new Map([['--spot-policy', 'spot']]);

/** Names the arguments of a tool for the flags that an error suggests. */
function nameArguments({ name, input }: Called, hint: string): string {
  const [suggestion = ''] = hint.split(/(?<=[?.]) /);
  const named = [...suggestion.matchAll(/--[a-z-]+/g)].flatMap(([flag]) => {
    const argument = RENAMED.get(flag) ?? flag.slice(2).replaceAll('-', '_');
    return Object.hasOwn(input.shape, argument) ? [`\`${argument}\` for ${flag}`] : [];
  });
  return named.length === 0 ? '' : `${name} has its own argument: ${named.join(', ')}.`;
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
export function describeIssue(issue: Issue, given: unknown, fields: readonly string[] = []): string {
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
