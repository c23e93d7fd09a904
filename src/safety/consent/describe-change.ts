import { formatDollars } from '../../core/format-values.ts';
import type { ConsentSummary, PendingChange, ConsentLevel, Operation } from '../../core/change.ts';
import { cleanLine } from '../../render/untrusted.ts';

/** The operations for which a person types the name of what would be hit. */
const TYPED: ReadonlySet<Operation> = new Set(['replace', 'abort', 'delete']);

/** The name that a person has to type for this change; undefined where a yes is enough. */
export function nameToType(change: PendingChange): string | undefined {
  if (!TYPED.has(change.operation)) return undefined;
  return change.nameToType ?? change.summary.resource.name;
}

/** Whether this operation may only be agreed to by typing a name. */
export const needsName = (operation: Operation): boolean => TYPED.has(operation);

/** Whether what was typed is the name that has to be. */
export function isNameToType(change: PendingChange, typed: unknown): boolean {
  const name = nameToType(change);
  return name !== undefined && typeof typed === 'string' && typed.trim() === name;
}

/** The summary as a card is given it: each value cleaned, none left out. */
export function cleanSummary(summary: ConsentSummary, redact: (text: string) => string): ConsentSummary {
  const clean = (text: string): string => cleanLine(redact(text));
  const { resource } = summary;
  return {
    ...summary,
    action: clean(summary.action),
    resource: { kind: clean(resource.kind), name: resource.name === undefined ? undefined : clean(resource.name) },
    project: clean(summary.project),
    server: clean(summary.server),
    flags: summary.flags?.map(clean),
    losses: summary.losses.map(clean),
    warnings: summary.warnings.map(clean),
  };
}

/** What the person is shown: the action, where, at what price, and what would be lost. Each value is cleaned first. */
export function describeChange(change: PendingChange): string {
  const { summary } = change;
  const name = nameToType(change);
  return [
    cleanLine(summary.action),
    '',
    `Resource: ${cleanLine([summary.resource.kind, summary.resource.name ?? ''].join(' '))}`,
    `Project: ${cleanLine(summary.project)} on ${cleanLine(summary.server)}`,
    ...describeMoney(change),
    ...listAll('With these flags, which go before what the file says:', summary.flags ?? []),
    ...listUnder('Would be stopped or lost:', summary.losses),
    ...listUnder('Careful:', summary.warnings),
    ...(name === undefined ? [] : ['', `Type the name ${cleanLine(name)} to agree.`]),
  ].join('\n');
}

function describeMoney({ summary, operation }: PendingChange): string[] {
  const { pricePerHour, totalPrice } = summary;
  if (pricePerHour === undefined) return operation === 'create' || operation === 'replace' ? ['Price: not known'] : [];
  const total = totalPrice === undefined ? 'no limit in total' : `${formatDollars(totalPrice)} at most in total`;
  return [`Price: ${formatDollars(pricePerHour)} an hour, ${total}`];
}

const MAX_LINES = 12;

function listUnder(title: string, lines: readonly string[]): string[] {
  const left = lines.length - MAX_LINES;
  return [...listAll(title, lines.slice(0, MAX_LINES)), ...(left > 0 ? [`- and ${left} more`] : [])];
}

/** Never cut: a flag that isn't shown would be agreed to unseen. There are no more of them than dstack documents. */
function listAll(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `- ${cleanLine(line)}`)];
}

const LEVELS: Readonly<Record<ConsentLevel, string>> = {
  'person-card': 'a person clicked Approve in the card',
  'person-form': "a person agreed in the client's form",
  'person-dialog': 'a person agreed in a dialog on the desktop',
  token: 'the confirmation token was brought back; this does not prove that a person agreed',
  policy: "the operator's policy allows this without asking",
};

/** How a change was agreed to, in words that claim no more than is true. */
export const describeLevel = (level: ConsentLevel): string => LEVELS[level];
