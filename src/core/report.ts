import { ownText } from './transcript.ts';
import type { Transcript } from './transcript.ts';
import { ToolError } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import type { Offer } from './dstack-terms.ts';
import type { ConsentSummary, Operation } from './change.ts';

/** The effect of a tool or a command: it only reads, or it may change something. */
export type Effect = 'read' | 'change';

/**
 * What actually happened, which dstack's exit code doesn't say. `blocked`: dstack can't do it in the current state (no offers, no
 * fleets, invalid file). `refused`: this server didn't allow it. `waiting`: the state that was waited for isn't reached yet, or consent
 * is missing. `unknown`: it was requested, but may or may not have happened.
 */
export const OUTCOMES = [
  'done',
  'nothing-to-do',
  'blocked',
  'refused',
  'failed',
  'waiting-for-person',
  'waiting',
  'unknown',
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** Verbatim output, and how to show it. */
export interface Printed {
  readonly transcript: Transcript;
  /** The part to keep if the output is too long for a result. Defaults to `start`. */
  readonly keep?: 'start' | 'end' | 'both';
  /** The length at which it is cut: larger than the default only if the call asked for it. Defaults to its share of the result's maximum. */
  readonly maxChars?: number;
  /** Says how to get the part that was left out. */
  readonly rest?: string | undefined;
  /** Text of unknown programs and people (logs, events): fenced and labeled as untrusted. */
  readonly untrusted?: boolean;
}

/** For output that was asked for as a whole: about 10,000 tokens. Clients reject results of more than 25,000. */
export const WHOLE_CHARS = 40_000;

/** A picture for a model, as MCP's image content. */
export interface Picture {
  readonly mimeType: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';
  /** In base64. */
  readonly data: string;
}

/** The result of a call, from which both its text and its structured content are rendered. */
export interface Report<Facts> {
  readonly outcome: Outcome;
  /** One sentence for a person: what happened. Shown on one line, as is each of the details and `next`. */
  readonly summary: string;
  /** The facts that a reader needs, in labeled lines. With them, the text repeats only those facts that another call needs. */
  readonly details?: readonly string[] | undefined;
  readonly printed: readonly Printed[];
  /** Undefined ones are left out. */
  readonly facts: { readonly [Name in keyof Facts]?: Facts[Name] | undefined };
  /** The next step; names the tool to call. */
  readonly next?: string | undefined;
  /** Shown after the text. */
  readonly pictures?: readonly Picture[];
  /** Only for clients that show a card; the model doesn't see it. */
  readonly card?: ChangeCard;
}

/** A question for the user. The call ends with it, and is made again with the answer. */
export interface Question {
  readonly kind: 'question';
  readonly message: string;
  readonly field: QuestionField;
  /** Ties the answer to this question. It travels through the client in sealed form. */
  readonly nonce: string;
}

/** The field of a form: a choice of two sentences, of which only `yes` approves, or the resource's name. */
export type QuestionField =
  | { readonly kind: 'choice'; readonly no: string; readonly yes: string }
  | { readonly kind: 'name' };

/** A person's answer; `unusable` if the client returned an error or something else: it can't show the form. */
export type Answer =
  | { readonly kind: 'accepted'; readonly content: Readonly<Record<string, unknown>>; readonly nonce: string }
  | { readonly kind: 'declined'; readonly nonce: string }
  | { readonly kind: 'cancelled'; readonly nonce: string }
  | { readonly kind: 'unusable'; readonly nonce: string };

/** Reports a listing in an unknown format: it is shown as is, and nothing is concluded from it. */
export const unrecognized = (transcript: Transcript): Report<Record<string, never>> => ({
  outcome: 'done',
  summary: 'dstack printed a format that this server does not recognize. Read the output itself.',
  printed: [{ transcript }],
  facts: {},
});

/** Failures that no rule of this server caused: the installed CLI, or time. */
const ENVIRONMENT_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'cli-not-found',
  'cli-too-old',
  'cli-not-understood',
  'sandbox-ended',
  'timed-out',
  'cancelled',
  'busy',
]);

/** Reports an expected failure; returns undefined for a bug. */
export function reportFailure(error: unknown): Report<Record<string, unknown>> | undefined {
  if (error instanceof CommandFailed) return error.report;
  if (!(error instanceof ToolError)) return undefined;
  const outcome = ENVIRONMENT_FAILURES.has(error.code) ? 'failed' : 'refused';
  const { code, message, hint, untrusted } = error;
  const printed = untrusted === undefined ? [] : [{ transcript: ownText(untrusted), untrusted: true }];
  return { outcome, summary: message, printed, facts: { code }, next: hint };
}

/** Combines the reports about several runs. One that failed is reported like the others. `mostChars` is for all output together. */
export async function reportSeveral(
  names: readonly string[],
  mostChars: number,
  report: (name: string) => Promise<Report<Record<string, unknown>>>,
): Promise<Report<Record<string, unknown>>> {
  const reports = await Promise.all(
    names.map((name) =>
      report(name).catch((error: unknown) => {
        const failed = reportFailure(error);
        if (failed === undefined) throw error;
        return { ...failed, summary: `${name}: ${failed.summary}` };
      }),
    ),
  );
  const maxChars = Math.floor(mostChars / names.length);
  const [summary = '', ...others] = reports.map((one) => one.summary);
  const next = [...new Set(reports.map((one) => one.next))].filter((one) => one !== undefined);
  return {
    outcome: reports.find(({ outcome }) => outcome !== 'done')?.outcome ?? 'done',
    summary,
    details: [...others, ...reports.flatMap(({ details = [] }, at) => details.map((line) => `${names[at]}: ${line}`))],
    printed: reports.flatMap(({ printed }) => printed.map((one) => ({ ...one, maxChars }))),
    facts: {},
    next: next.length === 0 ? undefined : next.join(' '),
  };
}

/** Refuses arguments that the schema alone can't reject. @throws ToolError always */
export function refuse(message: string, hint: string): never {
  throw new ToolError('invalid-input', `${message} Nothing was run.`, hint);
}

/** Ends a call with a report: dstack refused, or couldn't be run. Expected, so not a bug. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly report: Report<Record<string, unknown>>;

  constructor(report: Report<Record<string, unknown>>) {
    super(report.summary);
    this.report = report;
  }
}

/** The first bytes of each kind, in hex; a dot is any digit. */
const KINDS: readonly { readonly mimeType: Picture['mimeType']; readonly start: RegExp }[] = [
  { mimeType: 'image/png', start: /^89504e470d0a1a0a/ },
  { mimeType: 'image/jpeg', start: /^ffd8ff/ },
  { mimeType: 'image/gif', start: /^47494638(?:37|39)61/ },
  { mimeType: 'image/webp', start: /^52494646.{8}57454250/ },
];

/** Returns a file as a picture if its first bytes are those of one: its name and its origin prove nothing. */
export function readPicture(bytes: Buffer): Picture | undefined {
  const hex = bytes.toString('hex', 0, 16);
  const kind = KINDS.find(({ start }) => start.test(hex));
  return kind === undefined ? undefined : { mimeType: kind.mimeType, data: bytes.toString('base64') };
}

/** The URI of the only card; what it shows depends on the result that it receives. */
export const CARD_URI = 'ui://dstack/card';
/** The MIME type of a page that MCP Apps hosts can show. Clients that show cards declare it. */
export const CARD_MIME_TYPE = 'text/html;profile=mcp-app';
/** The key in a result's `_meta` for data that only the card receives: hosts don't show `_meta` to the model. */
export const CARD_META = 'dstack-mcp/card';

/** Use of the card by a tool: its results are shown in the card, or the card's buttons call it. */
export type CardUse = 'change' | 'runs' | 'run' | 'offers' | 'use' | 'buttons';

/** The cost of a plan, by offer. The card sorts and multiplies these values. */
export interface PlanTerms {
  readonly offers: readonly Offer[];
  /** Includes offers that aren't listed. */
  readonly offersTotal: number;
  /** Absent if the plan doesn't state how many. */
  readonly machines?: { readonly min: number; readonly max?: number };
  /** The time that each machine can cost: running, stopping and idling. Absent without a known limit. */
  readonly time?: { readonly hours: number; readonly text: string };
}

/** A change that waits for a click. A plan's change includes its terms. */
export interface ChangeCard extends Partial<PlanTerms> {
  readonly view: 'change';
  /** Sent back by the buttons. */
  readonly nonce: string;
  readonly expiresAt: string;
  /** The server's time, so that the remaining time doesn't depend on the host's clock. */
  readonly now: string;
  readonly operation: Operation;
  readonly summary: ConsentSummary;
  /** The name that has to be typed; absent if a click is enough. */
  readonly nameToType?: string;
}

/** The data of a card, in addition to the tool's facts. `none`: only the text of the result is shown. */
export type Card = ChangeCard | { readonly view: 'runs' | 'run' | 'offers' | 'use' | 'none' };

/** The facts of each view. A view can't show a result that has none of them. */
const SHOWN_FACTS = { runs: ['runs'], run: ['run'], offers: ['offers', 'gpus'] } as const;

/** Returns the card of a result; undefined if the tool's results aren't shown in one. */
export function cardOf(
  use: CardUse | undefined,
  result: { readonly facts: object; readonly card?: ChangeCard | undefined },
): Card | undefined {
  if (use === undefined || use === 'buttons') return undefined;
  if (use === 'change') return result.card ?? { view: 'none' };
  // The first use of a run asks for consent.
  if (use === 'use') return result.card ?? { view: 'use' };
  return { view: SHOWN_FACTS[use].some((fact) => Object.hasOwn(result.facts, fact)) ? use : 'none' };
}

/** Returns a tool's `_meta` in the list of a client with cards: its results are shown in the card, or it is hidden from the model. */
export function describeCardUse(
  use: CardUse | undefined,
): { ui: { resourceUri: string } | { visibility: readonly string[] } } | undefined {
  if (use === 'buttons') return { ui: { visibility: ['app'] } };
  return use === undefined ? undefined : { ui: { resourceUri: CARD_URI } };
}
