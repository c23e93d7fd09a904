import { ToolError } from '../../core/errors.ts';
import type { ConsentLevel, ConsentSummary, Operation, PendingChange } from '../../core/change.ts';
import { formatDollars } from '../../core/format-values.ts';
import { cleanLine } from '../../render/untrusted.ts';

/** The operations that a person approves by typing the name of what is affected. */
const TYPED: ReadonlySet<Operation> = new Set(['replace', 'abort', 'delete']);

/** Returns the name that a person has to type for this change; undefined if a click is enough. */
export function nameToType(change: PendingChange): string | undefined {
  if (!TYPED.has(change.operation)) return undefined;
  return change.nameToType ?? change.summary.resource.name;
}

/** Whether this operation can only be approved by typing a name. */
export const needsName = (operation: Operation): boolean => TYPED.has(operation);

/** Whether the typed text is the required name. */
export function isNameToType(change: PendingChange, typed: unknown): boolean {
  const name = nameToType(change);
  return name !== undefined && typeof typed === 'string' && typed.trim() === name;
}

/** Longer lines are in no form or dialog to be read. */
const MAX_LINE_CHARS = 2_000;
const showLine = (text: string): string => cleanLine(text, MAX_LINE_CHARS);

/** @throws ToolError `invalid-value` if the question would cut what it asks about: nobody can approve what they don't see */
export function assertShownWhole({ summary }: PendingChange): void {
  const { action, resource, flags = [], access = [], sends = [], warnings } = summary;
  const all = [action, resource.name ?? '', ...flags, ...access, ...sends, ...warnings];
  const long = all.find((line) => cleanLine(line, Infinity).length > MAX_LINE_CHARS);
  if (long === undefined) return;
  throw new ToolError(
    'invalid-value',
    `A line of the question has more than ${MAX_LINE_CHARS} characters, so nobody could read all of it. Nothing was changed.`,
    'Shorten the path, the name or the value in the file or the flags, then plan again.',
    { untrusted: cleanLine(long, 100) },
  );
}

/** Prepares the summary for a card: cleans each value and leaves none out. */
export function cleanSummary(summary: ConsentSummary, redact: (text: string) => string): ConsentSummary {
  const clean = (text: string): string => showLine(redact(text));
  const { resource } = summary;
  return {
    ...summary,
    action: clean(summary.action),
    resource: { kind: clean(resource.kind), name: resource.name === undefined ? undefined : clean(resource.name) },
    project: clean(summary.project),
    server: clean(summary.server),
    machine: summary.machine === undefined ? undefined : clean(summary.machine),
    flags: summary.flags?.map(clean),
    losses: summary.losses.map(clean),
    access: summary.access?.map(clean),
    sends: summary.sends?.map(clean),
    warnings: summary.warnings.map(clean),
  };
}

/** Formats the question that the user sees: the action, where, at what price, and what would be lost. Cleans each value first. */
export function describeChange(change: PendingChange): string {
  const { summary } = change;
  const name = nameToType(change);
  return [
    showLine(summary.action),
    '',
    `Resource: ${showLine([summary.resource.kind, summary.resource.name ?? ''].join(' '))}`,
    `Project: ${cleanLine(summary.project)} on ${cleanLine(summary.server)}`,
    ...(summary.machine === undefined ? [] : [`Machine: ${cleanLine(summary.machine)} (${NOT_BOUND})`]),
    ...describeMoney(change),
    ...listAll('With these flags, which override the file:', summary.flags ?? []),
    ...listSome('Would be stopped or lost:', summary.losses),
    ...listAll('Access:', summary.access ?? []),
    ...(change.operation === 'send' ? listAll('Planning would:', summary.sends ?? []) : []),
    ...listAll('Warnings:', summary.warnings),
    ...(name === undefined ? [] : ['', `Type the name ${cleanLine(name)} to approve.`]),
  ].join('\n');
}

/** The answer that a form offers first: pressing Enter through it must change nothing. */
export const NO = 'No, do nothing';

/** Returns the only answer in a form that approves, with the price in its words: `Yes, create task train for $0.39 an hour`. */
export function describeYes({ operation, summary, binding }: PendingChange): string {
  const { kind, name } = summary.resource;
  const what = cleanLine(['Yes,', operation, kind, name ?? ''].join(' ').trimEnd());
  if (operation === 'send' || operation === 'access')
    return cleanLine(`Yes, ${summary.action.charAt(0).toLowerCase()}${summary.action.slice(1)}`);
  if (operation !== 'create' && operation !== 'update') return what;
  const { pricePerHour, mostPerHour } = binding;
  if (summary.price === undefined || (pricePerHour === null && mostPerHour === null))
    return `${what} at an unknown price`;
  const price = pricePerHour ?? mostPerHour;
  const words = `${what} for ${formatDollars(price)} an hour`;
  if (mostPerHour === null) return `${words}, without a known limit`;
  return mostPerHour === price ? words : `${words}, at most ${formatDollars(mostPerHour)}`;
}

function describeMoney({ summary, operation }: PendingChange): string[] {
  const { price } = summary;
  if (price === undefined) return operation === 'create' || operation === 'replace' ? ['Price: unknown'] : [];
  return [`Price: ${cleanLine(price)}`];
}

const NOT_BOUND = 'dstack chooses again when it starts';

const MAX_LINES = 12;

function listSome(title: string, lines: readonly string[]): string[] {
  const left = lines.length - MAX_LINES;
  return [...listAll(title, lines.slice(0, MAX_LINES)), ...(left > 0 ? [`- and ${left} more`] : [])];
}

/** Lists every line: a flag that isn't shown would be approved unseen. `assertShownWhole` has refused what is too long. */
function listAll(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `- ${showLine(line)}`)];
}

const LEVELS: Readonly<Record<ConsentLevel, string>> = {
  'person-card': 'a person clicked Approve in the card',
  'person-form': "a person approved in the client's form",
  'person-dialog': 'a person approved in a dialog on the desktop',
  token: 'the confirmation token was returned; this does not prove that a person approved',
  policy: "the operator's policy allows this without asking",
};

/** Describes how a change was approved, claiming no more than is true. */
export const describeLevel = (level: ConsentLevel): string => LEVELS[level];
