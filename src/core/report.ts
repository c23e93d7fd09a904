import type { ChangeCard } from './card.ts';
import type { Transcript } from './transcript.ts';
import { ToolError } from './errors.ts';

/** What a tool can do to the world: nothing, change it, or destroy something in it. */
export type Effect = 'read' | 'change' | 'destroy';

/**
 * What really happened, which dstack's exit code doesn't tell.
 * `blocked`: dstack can't do it as things stand (no offers, no fleets, invalid file). `refused`: this server didn't let it through.
 * `unknown`: it was asked for, and whether it happened isn't known.
 */
export const OUTCOMES = [
  'done',
  'nothing-to-do',
  'blocked',
  'refused',
  'failed',
  'waiting-for-person',
  'unknown',
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** A piece of verbatim output and how it is shown. */
export interface Printed {
  readonly transcript: Transcript;
  /** The end that survives when the output is longer than a result may be; `start` unless given. */
  readonly keep?: 'start' | 'end';
  /** Longer ones are cut; a default for the whole result unless given. */
  readonly maxChars?: number;
  /** How to get what was left out, in words. */
  readonly rest?: string;
  /** Text of programs and people that we don't know (logs, events): fenced and labelled as such. */
  readonly untrusted?: boolean;
}

/** What a call came to. Both channels of the result are made from it, in one place. */
export interface Report<Facts> {
  readonly outcome: Outcome;
  /** One sentence for a person: what happened. */
  readonly summary: string;
  readonly printed: readonly Printed[];
  readonly facts: Partial<Facts>;
  /** The next step, naming the tool to call. */
  readonly next?: string;
  /** For the card alone, and for clients that show one: no model reads it. */
  readonly card?: ChangeCard;
}

/** A question for the person behind the client. The call ends with it, and is made again with the answer. */
export interface Question {
  readonly kind: 'question';
  readonly message: string;
  /** `approve`: yes or no. `name`: the resource's name has to be typed. */
  readonly field: 'approve' | 'name';
  /** Ties the answer to this question; sealed on its way through the client. */
  readonly nonce: string;
}

export type Answer =
  | { readonly kind: 'accepted'; readonly content: Readonly<Record<string, unknown>>; readonly nonce: string }
  | { readonly kind: 'declined'; readonly nonce: string }
  | { readonly kind: 'cancelled'; readonly nonce: string };

/** What is said of a listing that isn't one, or that this dstack prints in another form: it is shown, and nothing is concluded from it. */
export const unrecognized = (transcript: Transcript): Report<Record<string, never>> => ({
  outcome: 'done',
  summary: "What dstack printed isn't the table that is known here: read it as it is.",
  printed: [{ transcript }],
  facts: {},
});

/** Refuses the arguments of a call that the schema alone can't tell apart. @throws ToolError always */
export function refuse(message: string, hint: string): never {
  throw new ToolError('invalid-input', `${message} Nothing was run.`, hint);
}

/** dstack said no, or couldn't be asked: carries the report that the call ends with. Expected, so not a bug. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly report: Report<Record<string, unknown>>;

  constructor(report: Report<Record<string, unknown>>) {
    super(report.summary);
    this.report = report;
  }
}
