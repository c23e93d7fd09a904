import { findDeviations } from './find-deviations.ts';
import type { Deviation } from './find-deviations.ts';
import { locate, positionAt } from './locate.ts';
import type { Located, Position } from './locate.ts';
import type { ParsedText } from './parse-text.ts';
import { isRecord } from './schema-index.ts';
import type { Place, SchemaIndex } from './schema-index.ts';
import { descriptionOf, describeValues, referenceLink } from './schema-words.ts';

/** The verdict of dstack's own parser, as its interpreter gives it. */
export interface ParserVerdict {
  readonly verdict: 'valid' | 'invalid' | 'unreadable';
  readonly text: string;
  readonly problems: readonly { readonly path: readonly string[]; readonly message: string; readonly kind: string }[];
}

/** One thing to fix: where, what dstack says about it, and what to write instead. */
export interface Problem {
  readonly position: Position;
  /** Dotted; empty for the whole file. */
  readonly path: string;
  /** dstack's own words, where it complained about this place. */
  readonly dstack: string | undefined;
  readonly fix: string;
  readonly about: string | undefined;
  readonly reference: string;
}

/** What a diagnosis goes by. */
export interface Evidence {
  readonly parsed: ParsedText;
  readonly verdict: ParserVerdict;
  /** Undefined where dstack's schema can't be had: places are told all the same. */
  readonly index: SchemaIndex | undefined;
  /** The names that a mistaken one most likely means. */
  readonly nearest: (wanted: string, known: readonly string[]) => readonly string[];
  readonly kind?: 'configuration' | 'profiles';
}

/** Every problem of an invalid configuration, in the order of the file. */
export function diagnose(evidence: Evidence): readonly Problem[] {
  if (evidence.verdict.verdict === 'valid') return [];
  if (evidence.verdict.verdict === 'unreadable') return [diagnoseText(evidence)];
  const type = typeOf(evidence);
  const { index } = evidence;
  const value = evidence.parsed.value;
  const deviations = index === undefined || !isRecord(value) ? [] : findDeviations(index, type, value);
  const told = evidence.verdict.problems.map((problem) => diagnoseOne(evidence, problem, deviations));
  const toldPaths = new Set(told.map(({ path }) => path));
  const own = deviations
    .filter(({ path }) => !toldPaths.has(path.join('.')))
    .map((deviation) => diagnoseDeviation(evidence, deviation));
  const problems = [...told, ...own];
  return (problems.length > 0 ? problems : [diagnoseWhole(evidence)]).sort(
    (a, b) => a.position.line - b.position.line || a.position.column - b.position.column,
  );
}

/** Properties that dstack's parser takes no notice of, in a configuration that it finds valid. */
export function findIgnored(evidence: Evidence): readonly Problem[] {
  const { index, parsed } = evidence;
  if (index === undefined || !isRecord(parsed.value)) return [];
  return findDeviations(index, typeOf(evidence), parsed.value)
    .filter(({ kind }) => kind === 'unknown')
    .map((deviation) => diagnoseDeviation(evidence, deviation));
}

function typeOf({ parsed, kind }: Evidence): string {
  if (kind === 'profiles') return 'profiles';
  const type = isRecord(parsed.value) ? parsed.value['type'] : undefined;
  return typeof type === 'string' ? type : '';
}

function diagnoseText({ parsed, verdict }: Evidence): Problem {
  // PyYAML names the context first and the problem last.
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
    fix:
      own === undefined ? 'Mend the YAML here: quote the value if it is text.' : `Mend the YAML here: ${own.message}`,
    about: undefined,
    reference: 'https://dstack.ai/docs/reference/dstack.yml',
  };
}

function diagnoseWhole({ parsed, verdict, index }: Evidence): Problem {
  const types = index?.types.join(', ') ?? 'task, service, dev-environment, fleet, volume, gateway';
  const fix = isRecord(parsed.value)
    ? `Set \`type\` to one of: ${types}.`
    : `A configuration is a mapping: begin with \`type:\`, one of ${types}.`;
  return {
    position: positionAt(parsed, 0),
    path: '',
    dstack: verdict.text,
    fix,
    about: undefined,
    reference: 'https://dstack.ai/docs/reference/dstack.yml',
  };
}

function diagnoseOne(
  evidence: Evidence,
  { path, message, kind }: ParserVerdict['problems'][number],
  deviations: readonly Deviation[],
): Problem {
  const { parsed, index, nearest } = evidence;
  const type = typeOf(evidence);
  const tagged = /discriminator '(\w+)'|found using '(\w+)'/.exec(message);
  const wanted = [...trimTags(parsed, path), ...(tagged === null ? [] : [tagged[1] ?? tagged[2] ?? ''])];
  const place = locate(parsed, wanted);
  const dotted = [
    ...place.path,
    ...(kind === 'missing' ? place.missing.slice(-1) : tagged === null ? [] : place.missing),
  ];
  const deviation = deviations.find((one) => one.path.join('.') === dotted.join('.'));
  if (deviation !== undefined) return { ...diagnoseDeviation(evidence, deviation), dstack: message };
  const found = index?.find(type, dotted);
  const known = tagged !== null && dotted.at(-1) === 'type' ? (index?.types ?? []) : tagsOf(message);
  const near = nearest(readText(parsed, dotted), known);
  return {
    position: kind === 'extra_forbidden' || kind === 'missing' ? place.key : positionOfValue(place),
    path: dotted.join('.'),
    dstack: message,
    fix: describeFix({ message, kind, known, near, found, index, dotted }),
    about: found === undefined || dotted.length === 0 ? undefined : descriptionOf(found) || undefined,
    reference: referenceLink(type, dotted),
  };
}

/** The whole mapping is no place to point at: its first line is. */
const positionOfValue = ({ path, missing, key, value }: Located): Position =>
  path.length === 0 || missing.length > 0 ? key : value;

/** pydantic begins with the type, and a volume's backend. */
function trimTags({ value }: ParsedText, path: readonly string[]): readonly string[] {
  const [first, ...rest] = path;
  if (first === undefined || !isRecord(value) || Object.hasOwn(value, first)) return path;
  return first === value['type'] || first === value['backend'] ? rest : path;
}

const tagsOf = (message: string): string[] => {
  const listed = /expected (?:tags?|one of)?:? ?(.*)$|Input should be (.*)$/s.exec(message);
  return [...(listed?.[1] ?? listed?.[2] ?? '').matchAll(/'([^']+)'/g)].map(([, tag]) => tag ?? '');
};

function readText({ document }: ParsedText, path: readonly string[]): string {
  const value: unknown =
    path.length === 0 ? undefined : document.getIn(path.map((part) => (/^\d+$/.test(part) ? Number(part) : part)));
  return typeof value === 'string' ? value : '';
}

interface MendInput {
  readonly message: string;
  readonly kind: string;
  readonly known: readonly string[];
  readonly near: readonly string[];
  readonly found: Place | undefined;
  readonly index: SchemaIndex | undefined;
  readonly dotted: readonly string[];
}

function describeFix({ message, kind, known, near, found, index, dotted }: MendInput): string {
  const name = dotted.at(-1);
  const shown = dotted.length === 0 ? 'the configuration' : `\`${dotted.join('.')}\``;
  if (known.length > 0) {
    const meant = near[0] === undefined ? '' : ` Did you mean \`${near[0]}\`?`;
    return `Set ${shown} to one of: ${known.join(', ')}.${meant}`;
  }
  if (kind === 'missing' || kind === 'union_tag_not_found') return `Add \`${name ?? 'type'}\`.`;
  if (kind === 'extra_forbidden') return `Remove ${shown}: dstack has no such property here.`;
  const expected = found === undefined || index === undefined ? '' : describeValues(index, found.schema);
  const words = message.replace(/^Value error, /, '');
  if (dotted.length === 0 || expected === '' || expected === 'anything') return `Correct ${shown}: ${words}.`;
  return `Correct ${shown}: ${words}. It takes ${expected}.`;
}

function diagnoseDeviation(evidence: Evidence, { kind, path, known, expected }: Deviation): Problem {
  const { parsed, index, nearest } = evidence;
  const type = typeOf(evidence);
  const place = locate(parsed, path);
  const name = path.at(-1) ?? '';
  const shown = `\`${path.join('.')}\``;
  const near =
    kind === 'unknown' ? nearest(name, known) : kind === 'not-allowed' ? nearest(readText(parsed, path), known) : [];
  const meant = near[0] === undefined ? '' : ` Did you mean \`${near[0]}\`?`;
  const parent = path.slice(0, -1);
  const owner = parent.length === 0 ? `a ${type}` : `\`${parent.join('.')}\``;
  const mends: Readonly<Record<Deviation['kind'], string>> = {
    unknown: `\`${name}\` is no property of ${owner}.${meant || ` It has: ${known.slice(0, 30).join(', ')}.`}`,
    missing: `Add \`${name}\` to ${owner}: ${expected}.`,
    'not-allowed': `Set ${shown} to ${expected}.${meant}`,
    'wrong-shape': `Write ${shown} as ${expected}.`,
  };
  const target = kind === 'unknown' && near[0] !== undefined ? [...parent, near[0]] : path;
  const found = index?.find(type, target);
  return {
    position: kind === 'unknown' || kind === 'missing' ? place.key : place.value,
    path: path.join('.'),
    dstack: undefined,
    fix: mends[kind],
    about: found === undefined ? undefined : descriptionOf(found) || undefined,
    reference: referenceLink(type, target),
  };
}

/** The configuration with misspelt properties renamed and unknown ones left out: dstack's parser tells there what they hid. */
export function withFixedNames({
  index,
  parsed,
  nearest,
}: Pick<Evidence, 'index' | 'parsed' | 'nearest'>): Readonly<Record<string, unknown>> | undefined {
  const { value } = parsed;
  if (index === undefined || !isRecord(value) || typeof value['type'] !== 'string') return undefined;
  const unknown = findDeviations(index, value['type'], value).filter(
    (one) => one.kind === 'unknown' && one.path.length === 1,
  );
  if (unknown.length === 0) return undefined;
  const entries = Object.entries(value).flatMap(([name, item]) => {
    const deviation = unknown.find(({ path }) => path[0] === name);
    if (deviation === undefined) return [[name, item] as const];
    const near = nearest(name, deviation.known).find((one) => !Object.hasOwn(value, one));
    return near === undefined ? [] : [[near, item] as const];
  });
  return Object.fromEntries(entries);
}
