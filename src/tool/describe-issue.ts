import type * as z from 'zod';
import { plural } from '../core/format-values.ts';
import { isRecord } from '../core/values.ts';
import { nearestNames } from '../dstack/argv/nearest-names.ts';

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
