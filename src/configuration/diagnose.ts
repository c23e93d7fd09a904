import { isScalar } from 'yaml';
import type { Scalar } from 'yaml';
import { isRecord, nearestNames } from '../core/values.ts';
import type { Verdict } from '../dstack/warm/introspection.ts';
import { findDeviations, descriptionOf, describeValues, referenceLink } from './schema-index.ts';
import type { Deviation, Place, SchemaIndex } from './schema-index.ts';
import { locate, positionAt } from './configuration-text.ts';
import type { Located, ParsedText, Position } from './configuration-text.ts';

/** A problem in a configuration: its position, dstack's message, and a suggested fix. */
export interface Problem {
  readonly position: Position;
  /** Dotted path; empty for the whole file. */
  readonly path: string;
  /** dstack's own message; undefined if only the schema check found the problem. */
  readonly dstack: string | undefined;
  readonly fix: string;
  readonly about: string | undefined;
  readonly reference: string;
}

/** The input for a diagnosis. */
export interface DiagnosisInput {
  readonly parsed: ParsedText;
  readonly verdict: Verdict;
  /** Undefined if dstack's schema isn't available; positions are reported without it, too. */
  readonly index: SchemaIndex | undefined;
  readonly kind?: 'configuration' | 'profiles';
}

/** More help nobody, and each takes a search of the file. */
const MAX_PROBLEMS = 50;

/** The problems of an invalid configuration, in file order. */
export interface Diagnosis {
  readonly problems: readonly Problem[];
  /** The number of further problems, which aren't described. */
  readonly omitted: number;
}

/** Returns the problems of an invalid configuration: all of them, unless there are very many. */
export function diagnose(input: DiagnosisInput): Diagnosis {
  if (input.verdict.verdict === 'valid') return { problems: [], omitted: 0 };
  if (input.verdict.verdict === 'unreadable') return { problems: [diagnoseText(input)], omitted: 0 };
  const type = typeOf(input);
  const { index } = input;
  const value = input.parsed.value;
  const deviations = index === undefined || !isRecord(value) ? [] : findDeviations(index, type, value);
  const byPath = new Map(deviations.toReversed().map((one) => [one.path.join('.'), one]));
  const all = input.verdict.problems;
  const reported = all.slice(0, MAX_PROBLEMS).map((problem) => diagnoseOne(input, problem, byPath));
  const known = new Set([...reported.map(({ path }) => path), ...all.map(({ path }) => path.join('.'))]);
  const more = deviations.filter(({ kind, path }) => !known.has(path.join('.')) && !isConverted(input, { kind, path }));
  const others = more.slice(0, MAX_PROBLEMS - reported.length).map((deviation) => diagnoseDeviation(input, deviation));
  const problems = [...reported, ...others];
  return {
    problems: (problems.length > 0 ? problems : [diagnoseWhole(input)]).sort(
      (a, b) => a.position.line - b.position.line || a.position.column - b.position.column,
    ),
    omitted: all.length + more.length - problems.length,
  };
}

/** Returns whether dstack's parser may convert a value that its schema doesn't list, as it does with `python: 3.10`. */
function isConverted({ parsed }: DiagnosisInput, { kind, path }: Pick<Deviation, 'kind' | 'path'>): boolean {
  return kind === 'not-allowed' && readText(parsed, path) === '';
}

/** Returns the unknown properties of a valid configuration, which dstack's parser ignores. */
export function findIgnored(input: DiagnosisInput): readonly Problem[] {
  const { index, parsed } = input;
  if (index === undefined || !isRecord(parsed.value)) return [];
  return findDeviations(index, typeOf(input), parsed.value)
    .filter(({ kind }) => kind === 'unknown')
    .slice(0, MAX_PROBLEMS)
    .map((deviation) => diagnoseDeviation(input, deviation));
}

function typeOf({ parsed, kind }: DiagnosisInput): string {
  if (kind === 'profiles') return 'profiles';
  const type = isRecord(parsed.value) ? parsed.value['type'] : undefined;
  return typeof type === 'string' ? type : '';
}

const knownType = (index: SchemaIndex | undefined, type: string): string | undefined =>
  index?.root(type) === undefined ? undefined : type;

function diagnoseText({ parsed, verdict }: DiagnosisInput): Problem {
  // PyYAML prints the context first and the problem last.
  const mark = [...verdict.text.matchAll(/line (\d+), column (\d+)/g)].at(-1);
  const own = parsed.errors[0];
  const position =
    mark === undefined
      ? positionAt(parsed, own?.offset ?? 0)
      : { line: Number(mark[1]), column: Number(mark[2]), length: 1 };
  return {
    position,
    path: '',
    dstack: verdict.text,
    fix: `Fix the YAML here: ${own?.message ?? 'quote the value if it is text.'}`,
    about: undefined,
    reference: referenceLink(undefined, []),
  };
}

function diagnoseWhole({ parsed, verdict, index }: DiagnosisInput): Problem {
  const types = index?.types.join(', ') ?? 'task, service, dev-environment, fleet, volume, gateway';
  const fix = isRecord(parsed.value)
    ? `Set \`type\` to one of: ${types}.`
    : `A configuration is a mapping: start with \`type:\`, one of ${types}.`;
  return {
    position: positionAt(parsed, 0),
    path: '',
    dstack: verdict.text,
    fix,
    about: undefined,
    reference: referenceLink(undefined, []),
  };
}

function diagnoseOne(
  input: DiagnosisInput,
  { path, message, kind }: Verdict['problems'][number],
  deviations: ReadonlyMap<string, Deviation>,
): Problem {
  const { parsed, index } = input;
  const type = typeOf(input);
  const tagged = /discriminator '(\w+)'|found using '(\w+)'/.exec(message);
  const wanted = [...trimTags(parsed, path), ...(tagged === null ? [] : [tagged[1] ?? tagged[2] ?? ''])];
  const place = locate(parsed, wanted);
  const dotted = [
    ...place.path,
    ...(kind === 'missing' ? place.missing.slice(-1) : tagged === null ? [] : place.missing),
  ];
  const deviation = deviations.get(dotted.join('.'));
  if (deviation !== undefined) return { ...diagnoseDeviation(input, deviation), dstack: message };
  const found = index?.find(type, dotted);
  const known = tagged !== null && dotted.at(-1) === 'type' ? (index?.types ?? []) : tagsOf(message);
  const near = nearestNames(readText(parsed, dotted), known);
  return {
    position: kind === 'extra_forbidden' || kind === 'missing' ? place.key : positionOfValue(place),
    path: dotted.join('.'),
    dstack: message,
    fix: describeQuoting(parsed, dotted, known) ?? describeFix({ message, kind, known, near, found, index, dotted }),
    about: found === undefined || dotted.length === 0 ? undefined : descriptionOf(found) || undefined,
    reference: referenceLink(knownType(index, type), dotted),
  };
}

/** Points at the first line instead of the whole mapping. */
const positionOfValue = ({ path, missing, key, value }: Located): Position =>
  path.length === 0 || missing.length > 0 ? key : value;

/** Drops pydantic's prefix: the type, or a volume's backend. */
function trimTags({ value }: ParsedText, path: readonly string[]): readonly string[] {
  const [first, ...rest] = path;
  if (first === undefined || !isRecord(value) || Object.hasOwn(value, first)) return path;
  return first === value['type'] || first === value['backend'] ? rest : path;
}

const tagsOf = (message: string): string[] => {
  const listed = /expected (?:tags?|one of)?:? ?(.*)$|Input should be (.*)$/s.exec(message);
  return [...(listed?.[1] ?? listed?.[2] ?? '').matchAll(/'([^']+)'/g)].map(([, tag]) => tag ?? '');
};

function nodeAt({ document }: ParsedText, path: readonly string[]): Scalar | undefined {
  if (path.length === 0) return undefined;
  const node: unknown = document.getIn(
    path.map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
    true,
  );
  return isScalar(node) ? node : undefined;
}

function readText(parsed: ParsedText, path: readonly string[]): string {
  const value = nodeAt(parsed, path)?.value;
  return typeof value === 'string' ? value : '';
}

/** Says what YAML makes of an unquoted text, as in `off`, which is false. Undefined if it reads the same, or isn't an allowed text. */
function describeQuoting(parsed: ParsedText, path: readonly string[], known: readonly string[]): string | undefined {
  const { value, source } = nodeAt(parsed, path) ?? {};
  if (source === undefined) return undefined;
  if ((typeof value !== 'number' && typeof value !== 'boolean') || String(value) === source) return undefined;
  if (known.length > 0 && !known.includes(source)) return undefined;
  const name = path.at(-1) ?? '';
  return `Quote it: \`${/^\d+$/.test(name) ? '-' : `${name}:`} "${source}"\`. Without quotes, YAML reads ${source} as ${typeof value === 'number' ? 'the number ' : ''}${String(value)}.`;
}

interface FixInput {
  readonly message: string;
  readonly kind: string;
  readonly known: readonly string[];
  readonly near: readonly string[];
  readonly found: Place | undefined;
  readonly index: SchemaIndex | undefined;
  readonly dotted: readonly string[];
}

function describeFix({ message, kind, known, near, found, index, dotted }: FixInput): string {
  const name = dotted.at(-1);
  const shown = dotted.length === 0 ? 'the configuration' : `\`${dotted.join('.')}\``;
  if (known.length > 0) {
    const meant = near[0] === undefined ? '' : ` Did you mean \`${near[0]}\`?`;
    return `Set ${shown} to one of: ${known.join(', ')}.${meant}`;
  }
  if (kind === 'missing' || kind === 'union_tag_not_found') return `Add \`${name ?? 'type'}\`.`;
  if (kind === 'extra_forbidden') return `Remove ${shown}: dstack has no such property here.`;
  const expected = found === undefined || index === undefined ? '' : describeValues(index, found.schema);
  // dstack's message is shown separately, and says more than the type of a text.
  if (dotted.length === 0 || ['', 'anything', 'a string'].includes(expected))
    return `Correct ${shown}: ${message.replace(/^Value error, /, '')}.`;
  return `Correct ${shown}: it takes ${expected}.`;
}

function diagnoseDeviation(input: DiagnosisInput, { kind, path, known, expected }: Deviation): Problem {
  const { parsed, index } = input;
  const type = typeOf(input);
  const place = locate(parsed, path);
  const name = path.at(-1) ?? '';
  const shown = `\`${path.join('.')}\``;
  const near =
    kind === 'unknown'
      ? nearestNames(name, known)
      : kind === 'not-allowed'
        ? nearestNames(readText(parsed, path), known)
        : [];
  const meant = near[0] === undefined ? '' : ` Did you mean \`${near[0]}\`?`;
  const parent = path.slice(0, -1);
  // `gpu` at the top level.
  const inner = known.find((one) => one === 'resources' && index?.find(type, [...parent, one, name]) !== undefined);
  const below = inner === undefined ? '' : ` Write it as \`${[...parent, inner, name].join('.')}\`.`;
  const owner = parent.length === 0 ? `a ${type}` : `\`${parent.join('.')}\``;
  const fixes: Readonly<Record<Deviation['kind'], string>> = {
    unknown: `\`${name}\` isn't a property of ${owner}.${below || meant || ` Its properties: ${known.join(', ')}.`}`,
    missing: `Add \`${name}\` to ${owner}: ${expected}.`,
    'not-allowed': `Set ${shown} to ${expected}.${meant}`,
    'wrong-shape': `Write ${shown} as ${expected}.`,
  };
  const other = inner === undefined ? near.slice(0, 1) : [inner, name];
  const target = kind === 'unknown' && other.length > 0 ? [...parent, ...other] : path;
  const found = index?.find(type, target);
  return {
    position: kind === 'unknown' || kind === 'missing' ? place.key : place.value,
    path: path.join('.'),
    dstack: undefined,
    fix: (kind === 'not-allowed' ? describeQuoting(parsed, path, known) : undefined) ?? fixes[kind],
    about: found === undefined ? undefined : descriptionOf(found) || undefined,
    reference: referenceLink(knownType(index, type), target),
  };
}

/**
 * Returns the configuration with misspelled properties renamed and unknown ones removed, for dstack's parser to report the problems that
 * they hide. Undefined if there are none.
 */
export function withFixedNames({
  index,
  parsed,
}: Pick<DiagnosisInput, 'index' | 'parsed'>): Readonly<Record<string, unknown>> | undefined {
  const { value } = parsed;
  if (index === undefined || !isRecord(value) || typeof value['type'] !== 'string') return undefined;
  const unknown = findDeviations(index, value['type'], value).filter(
    (one) => one.kind === 'unknown' && one.path.length === 1,
  );
  if (unknown.length === 0) return undefined;
  const byName = new Map(unknown.map((one, at) => [one.path[0], { ...one, isNear: at < MAX_PROBLEMS }]));
  const entries = Object.entries(value).flatMap(([name, item]) => {
    const deviation = byName.get(name);
    if (deviation === undefined) return [[name, item] as const];
    if (!deviation.isNear) return [];
    const near = nearestNames(name, deviation.known).find((one) => !Object.hasOwn(value, one));
    return near === undefined ? [] : [[near, item] as const];
  });
  return Object.fromEntries(entries);
}
