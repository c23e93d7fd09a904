import type { Exit, Transcript } from '../../core/transcript.ts';
import type { Effect, Outcome } from '../../core/report.ts';
import { FAILURE_TABLE } from './failure-table.ts';
import type { FailureCode } from './failure-table.ts';
import { findOffersTable } from './read-offers.ts';
import { isPlanSentence } from './plan-phrases.ts';
import { readProperties } from './read-properties.ts';

/** Why a command didn't do what was asked, in dstack's own words. */
export interface Failure {
  readonly code: FailureCode;
  /** `unknown` where a change may have been made all the same. */
  readonly outcome: Extract<Outcome, 'blocked' | 'failed' | 'unknown'>;
  /** dstack's own words, verbatim; of a Python traceback, what stands under it. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
  /** True where giving the same command again may help. Never a licence to repeat a change: see `outcome`. */
  readonly transient: boolean;
}

/** How a command was meant, which decides what an unclear end means. */
export interface FailureContext {
  readonly effect: Effect;
  /** False where the output shows that dstack hadn't begun to change anything. A change counts as begun unless this is given. */
  readonly mayHaveActed?: boolean;
}

const TRACEBACK = 'Traceback (most recent call last):';
const LOOK = 'Look where things stand with ps, fleet or list before anything is tried again.';

/** The exception under the last traceback of a text, with all its lines; undefined where there is no traceback. */
export function readException(text: string): string | undefined {
  const start = text.lastIndexOf(TRACEBACK);
  if (start === -1) return undefined;
  const lines = text.slice(start).split('\n').slice(1);
  // The frames are indented; the exception isn't, and may go on over indented lines.
  const first = lines.findIndex((line) => /^\S/.test(line));
  return first === -1 ? undefined : lines.slice(first).join('\n').trim();
}

/** What dstack printed beside the tables and sentences of a plan. */
function withoutPlan(stdout: string): string {
  const lines = stdout.split('\n');
  const properties = readProperties(lines);
  const offers = properties === undefined ? undefined : findOffersTable(lines, properties.endLine);
  const behind = lines.slice(offers?.endLine ?? properties?.endLine ?? 0);
  const before = lines.slice(0, properties?.startLine ?? 0).filter((line) => !isNotice(line));
  return [...before, ...behind.filter((line) => !isPlanSentence(line) && !/^ *- |^ Shown \d+ of \d+ offers/.test(line))]
    .join('\n')
    .trim();
}

/** True for a line that may stand before any output and is no part of it: cli/utils/updates.py, run.py on a missing editor. */
function isNotice(line: string): boolean {
  return /^(?:A new version of dstack is available: |Unable to detect the .+ version and pre-install extensions\. )/.test(
    line,
  );
}

function recognise(text: string, context: FailureContext, exception: string | undefined): Failure | undefined {
  for (const kind of FAILURE_TABLE) {
    const message = kind.pattern.exec(text)?.[0].trim();
    if (message !== undefined) {
      const unclear = kind.midway === true && mayHaveActed(context);
      const { code, hint, transient } = kind;
      return {
        code,
        message,
        transient,
        outcome: unclear ? 'unknown' : kind.outcome,
        hint: unclear ? `${LOOK} ${hint}` : hint,
      };
    }
  }
  if (exception === undefined) return undefined;
  return {
    code: 'traceback',
    outcome: mayHaveActed(context) ? 'unknown' : 'failed',
    message: exception,
    hint: `dstack broke off with an error of its own; the whole of it is in the output. ${mayHaveActed(context) ? LOOK : 'Check with doctor.'}`,
    transient: false,
  };
}

const mayHaveActed = (context: FailureContext): boolean => context.effect !== 'read' && context.mayHaveActed !== false;

function readExited(transcript: Transcript, code: number, context: FailureContext): Failure {
  const exception = readException(transcript.stderr) ?? readException(transcript.stdout);
  const stderr = exception ?? transcript.stderr.trim();
  const stdout = readException(transcript.stdout) === undefined ? withoutPlan(transcript.stdout) : '';
  const text = [stdout, stderr].filter((part) => part !== '').join('\n');
  return (
    recognise(text, context, exception) ?? {
      code: 'unknown-error',
      // dstack prints the server's refusal; where it says nothing at all, nothing is known.
      outcome: text === '' && mayHaveActed(context) ? 'unknown' : 'failed',
      message: text === '' ? `dstack ended with exit code ${code} and said nothing.` : text,
      hint: context.effect === 'read' ? 'See with help what this command takes, or check with doctor.' : LOOK,
      transient: false,
    }
  );
}

/** How a command ended that dstack itself didn't bring to an end. */
function readBroken(exit: Exclude<Exit, { kind: 'exited' }>, context: FailureContext): Failure {
  const outcome = mayHaveActed(context) ? 'unknown' : 'failed';
  const isRead = context.effect === 'read';
  switch (exit.kind) {
    case 'not-started':
      return {
        code: 'not-started',
        outcome: 'failed',
        message: exit.reason,
        hint: 'Nothing was changed. Check with doctor that the dstack CLI can be run.',
        transient: false,
      };
    case 'timed-out': {
      const goesOn = exit.stillRunning ? 'It goes on in the background. ' : '';
      const hint = isRead ? 'Try again, or check with doctor whether the server answers.' : `${goesOn}${LOOK}`;
      return {
        code: 'timed-out',
        outcome,
        message: "dstack didn't end within the time limit.",
        hint,
        transient: isRead,
      };
    }
    case 'cancelled':
      return {
        code: 'cancelled',
        outcome,
        message: 'The call was cancelled while dstack was at work.',
        hint: isRead ? 'Call again.' : LOOK,
        transient: isRead,
      };
    case 'signalled':
      return {
        code: 'interrupted',
        outcome,
        message: `dstack was ended by ${exit.signal}.`,
        hint: isRead ? 'Try again.' : LOOK,
        transient: isRead,
      };
    case 'lost':
      return {
        code: 'interrupted',
        outcome,
        message: exit.reason,
        hint: isRead ? 'Try again.' : LOOK,
        transient: isRead,
      };
    default:
      return exit satisfies never;
  }
}

/** Reads why a command failed; undefined where it ended with exit code 0. */
export function readFailure(transcript: Transcript, context: FailureContext = { effect: 'read' }): Failure | undefined {
  if (transcript.exit.kind !== 'exited') return readBroken(transcript.exit, context);
  return transcript.exit.code === 0 ? undefined : readExited(transcript, transcript.exit.code, context);
}
