import type { Outcome } from '../core/report.ts';
import type { Transcript, WireEvent } from '../core/transcript.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import type { ExpectedChange } from '../dstack/run/wire-rule.ts';

/** The outcome of a change, as far as it is known. */
export interface VerifiedOutcome {
  readonly outcome: Outcome;
  readonly message: string;
  readonly hint: string;
}

type ChangeEvent = Extract<WireEvent, { readonly event: 'sent' | 'answered' | 'lost' }>;

const CHECK_FIRST = 'Check the current state with ps, get, fleet or list before anything is tried again.';

/**
 * Compares what dstack reported with the requests that it really sent: dstack's client repeats a request whose response was lost,
 * and then reports the refusal of the repetition as a failure.
 */
export function verifyOutcome(
  reported: ChangeOutcome,
  { requests }: Pick<Transcript, 'requests'>,
  expected: readonly ExpectedChange[] | undefined,
): VerifiedOutcome {
  if (requests === undefined || expected === undefined) return reported;
  const changes = requests.filter(isChange);
  const sent = changes.filter(({ event }) => event === 'sent');
  const denied = requests.find(({ event }) => event === 'denied');
  const why = denied?.event === 'denied' ? denied.why : undefined;
  if (sent.length === 0) return why === undefined ? withoutRequest(reported) : refuse(why);
  const answers = changes.filter((one) => one.event === 'answered');
  if (answers.length < sent.length) return unanswered(sent.at(-1)?.path ?? '');
  const accepted = answers.every((one) => one.event === 'answered' && one.status < 400);
  if (!accepted || reported.outcome === 'done') return reported;
  if (sent.length < expected.length) return halfway(reported, sent);
  return {
    ...reported,
    outcome: 'unknown',
    message: `dstack's server accepted the change. ${reported.message}`,
    hint: CHECK_FIRST,
  };
}

const isChange = (event: WireEvent): event is ChangeEvent => 'kind' in event && event.kind === 'change';

/** Corrects an outcome that claims to be done although no request was sent. */
const withoutRequest = (reported: ChangeOutcome): VerifiedOutcome =>
  reported.outcome === 'done'
    ? {
        outcome: 'nothing-to-do',
        message: `${reported.message} dstack sent no change to its server.`,
        hint: CHECK_FIRST,
      }
    : reported;

const refuse = (why: string): VerifiedOutcome => ({
  outcome: 'refused',
  message: `dstack was about to send something else than what was approved, and it was stopped: ${why}. Nothing was changed.`,
  hint: 'Plan it again and show the new plan to the user. If it happens again, tell the user.',
});

const unanswered = (path: string): VerifiedOutcome => ({
  outcome: 'unknown',
  message: `The request (${path}) was sent once, and the response of dstack's server was lost: it isn't known whether the change was made.`,
  hint: CHECK_FIRST,
});

const halfway = (reported: ChangeOutcome, sent: readonly ChangeEvent[]): VerifiedOutcome => ({
  outcome: 'failed',
  message: `Only the first step was made (${sent.map(({ path }) => path).join(', ')}): what was to be replaced is stopped or deleted, and nothing new was submitted. ${reported.message}`,
  hint: 'Check the current state with get, then plan again to submit the new one.',
});
