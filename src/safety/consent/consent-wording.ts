import type { ConsentLevel, ConsentSummary, Operation, PendingChange } from '../../core/change.ts';
import { ToolError } from '../../core/errors.ts';
import { formatDollars } from '../../core/values.ts';
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
export const describeLevel = (level: ConsentLevel): string => `${level}: ${LEVELS[level]}`;

/** Returns the next step towards a new token for the same change. */
function previewAgain(change: PendingChange): string {
  const { tool } = change.binding;
  return `${PREVIEW_AGAIN[tool]} and show the user its result before you continue.`;
}

const PREVIEW_AGAIN = {
  apply: 'Call plan again',
  stop: 'Call stop again',
  delete: 'Call delete again',
  access: 'Make the call that needs this again',
} as const satisfies Record<PendingChange['binding']['tool'], string>;

/** The user didn't approve. The ways are distinguished, because a rejection is an answer and a closed form is not. */
export function declined(change: PendingChange, how: 'declined' | 'cancelled' | 'wrong-name'): ToolError {
  const what = {
    declined: 'The user declined.',
    cancelled: 'The approval prompt was closed without an answer.',
    'wrong-name': `The user typed a name other than ${nameToType(change) ?? ''}, which counts as a rejection.`,
  }[how];
  const next =
    how === 'cancelled' ? 'Ask the user whether they still want this.' : 'Ask the user what they want instead.';
  return new ToolError(
    how === 'cancelled' ? 'not-answered' : 'person-declined',
    `${what} Nothing was changed; the token is no longer valid.`,
    `${next} ${previewAgain(change)}`,
  );
}

/** The user typed a wrong name in the card, and may try again. */
export const wrongName = (change: PendingChange, left: number): ToolError =>
  new ToolError(
    'wrong-name',
    `The typed name isn't ${nameToType(change) ?? ''}. Nothing was changed.`,
    `Type that name to approve, or decline; ${left === 1 ? 'one try is left' : `${left} tries are left`}.`,
  );

/** The change would no longer be the one that was shown. */
export function planChanged(change: PendingChange, differences: readonly string[]): ToolError {
  return new ToolError(
    'plan-changed',
    `The plan changed after it was approved: ${differences.join('; ')}. Nothing was changed; the token is no longer valid.`,
    previewAgain(change),
  );
}

/** A person has to approve, and none can be asked. Never says how to do without. */
export function personNeeded(why: string): ToolError {
  return new ToolError(
    'person-needed',
    `This change needs the user's approval, but the user can't be prompted: ${why}. Nothing was changed.`,
    'Tell the user that the change waits for their approval; doctor shows how this client and this machine can ask for it.',
  );
}

/** The client answered the form before a person could: nobody was asked, so nobody declined. */
export const nobodyAsked = (): ToolError =>
  new ToolError(
    'nobody-asked',
    'Nobody was asked: the client answered the approval form automatically, before a person could have read it. Nothing was changed; the token is still valid.',
    'Tell the user that their client answers such forms without showing them, as clients do without a terminal and with an approval policy that never asks. Where it shows them, call the tool again with the same token.',
  );

/** A dialog was announced, so that nobody else asked the user. */
export const dialogFailed = (why: string): ToolError =>
  new ToolError(
    'nobody-asked',
    `Nobody was asked: the dialog on the user's desktop couldn't be shown (${why}). Nothing was changed; the token is still valid.`,
    'Show the plan to the user yourself. Only after they approve it, call apply again with the same token.',
  );

/** The answer came with the token of another change. */
export const foreignAnswer = (): ToolError =>
  new ToolError(
    'person-needed',
    'This answer belongs to another question. Nothing was changed.',
    'Call the tool again with the token: it asks the user about this change.',
  );

/** The token was used, and its result isn't available. */
export const usedUp = (reason: string): ToolError =>
  new ToolError(
    'token-used',
    `This token was already used: ${reason}. Nothing was done again.`,
    'Check the current state with ps, get, fleet or list before anything else.',
  );

/** Another process of this user has used the token, or the user declined there. */
export const tokenEndedElsewhere = (): ToolError =>
  new ToolError(
    'token-used',
    'This token is no longer valid: another dstack-mcp process has used it, or the user declined there. This call changed nothing.',
    'Check the current state with ps, get, fleet or list before anything else.',
  );

/** The token can no longer be redeemed. */
export const tokenExpired = (change: PendingChange, why: string): ToolError =>
  new ToolError('token-expired', `${why} Nothing was changed.`, previewAgain(change));

/** dstack continues a change even if the server that started it has exited. */
const CHECK_FIRST =
  'If it was used before without an answer, that change may have been made: check with ps, get or fleet.';

/** No card of this process has this nonce. */
export const nonceUnknown = (): ToolError =>
  new ToolError(
    'token-unknown',
    "Unknown card: this server didn't show it, or was restarted since. This click changed nothing.",
    `${CHECK_FIRST} Then ask for a new plan, and approve or decline it in its card.`,
  );

/** No process of this user issued the token in the last minutes, or it couldn't be stored for this one. */
export const tokenUnknown = (): ToolError =>
  new ToolError(
    'token-unknown',
    "Unknown token: no server of yours issued it within the last day, or it couldn't be stored. This call changed nothing.",
    `${CHECK_FIRST} Otherwise copy the token from the preview unchanged; if there is none, call plan, stop or delete to get one.`,
  );
