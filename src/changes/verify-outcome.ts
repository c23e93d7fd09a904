import type { Outcome } from '../core/report.ts';
import type { Transcript, WireEvent } from '../core/transcript.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import type { ExpectedChange } from '../dstack/run/runner.ts';

/** The outcome of a change, as far as it is known. */
export interface VerifiedOutcome {
  readonly outcome: Outcome;
  readonly message: string;
  readonly hint: string;
  /**
   * Whether dstack's server accepted the change. `open`: it may have, and no request is on its way anymore. `under-way`: the same, and
   * it may still happen. `incident`: it did, but what it accepted isn't known.
   */
  readonly accepted: 'yes' | 'no' | 'open' | 'under-way' | 'incident';
}

type ChangeEvent = Extract<WireEvent, { readonly event: 'sent' | 'answered' | 'lost' }>;

export const CHECK_FIRST = 'Check the current state with ps, get, fleet or list before anything is tried again.';

/**
 * Compares what dstack reported with the requests that it really sent: dstack's client repeats a request whose response was lost,
 * and then reports the refusal of the repetition as a failure.
 */
export function verifyOutcome(
  reported: ChangeOutcome,
  { requests, exit }: Pick<Transcript, 'requests' | 'exit'>,
  expected: readonly ExpectedChange[] | undefined,
): VerifiedOutcome {
  const goesOn = exit.kind === 'timed-out' && exit.stillRunning;
  const open = goesOn ? 'under-way' : 'open';
  const asReported = (): VerifiedOutcome => ({ ...reported, accepted: ACCEPTED[reported.outcome] ?? open });
  if (requests === undefined || expected === undefined) return asReported();
  const changes = requests.filter(isChange);
  const sent = changes.filter(({ event }) => event === 'sent');
  const denied = requests.find(({ event }) => event === 'denied');
  const why = denied?.event === 'denied' ? denied.why : undefined;
  if (sent.length === 0) return why === undefined ? withoutRequest(asReported(), exit) : refuse(why);
  const answers = changes.filter((one) => one.event === 'answered');
  if (answers.length < sent.length) return unanswered(sent.at(-1)?.path ?? '', open);
  const made = answers.filter(({ status }) => status < 400);
  // A server that fails, or a proxy in front of it, doesn't say how far it got.
  if (answers.some(({ status }) => status >= 500)) return { ...asReported(), outcome: 'unknown', accepted: open };
  if (made.length < answers.length) return made.length === 0 ? asReported() : halfway(reported, made);
  if (reported.outcome === 'done') return { ...reported, accepted: 'yes' };
  if (sent.length < expected.length) return goesOn ? { ...reported, accepted: open } : halfway(reported, sent);
  // Without an error, its last line is another one than those that are known, such as a row of a table.
  const hasEndedWell = exit.kind === 'exited' && exit.code === 0;
  return {
    ...reported,
    outcome: 'unknown',
    message: `dstack's server accepted the change.${hasEndedWell ? '' : ` ${reported.message}`}`,
    hint: CHECK_FIRST,
    accepted: 'yes',
  };
}

const isChange = (event: WireEvent): event is ChangeEvent => 'kind' in event && event.kind === 'change';

const ACCEPTED: Partial<Record<ChangeOutcome['outcome'], 'yes' | 'no'>> = {
  done: 'yes',
  'nothing-to-do': 'no',
  blocked: 'no',
  failed: 'no',
};

/** Corrects an outcome that claims more than that no request was sent. A process that is cut off may still send one, or its report was lost. */
function withoutRequest(reported: VerifiedOutcome, exit: Transcript['exit']): VerifiedOutcome {
  const message = `${reported.message} dstack sent no change to its server.`;
  if (reported.outcome === 'done') return { outcome: 'nothing-to-do', message, hint: CHECK_FIRST, accepted: 'no' };
  const hasEnded = exit.kind === 'exited' || exit.kind === 'signalled';
  if (reported.outcome !== 'unknown' || !hasEnded) return reported;
  return { outcome: 'failed', message: `${message} Nothing was changed.`, hint: CHECK_FIRST, accepted: 'no' };
}

const refuse = (why: string): VerifiedOutcome => ({
  outcome: 'refused',
  message: `dstack was about to send something else than what was approved, and it was stopped: ${why}. Nothing was changed.`,
  hint: 'Plan it again and show the new plan to the user. If it happens again, tell the user.',
  accepted: 'no',
});

const unanswered = (path: string, accepted: 'open' | 'under-way'): VerifiedOutcome => ({
  outcome: 'unknown',
  message: `The request (${path}) was sent once, and the response of dstack's server was lost.`,
  hint: CHECK_FIRST,
  accepted,
});

const halfway = (reported: ChangeOutcome, sent: readonly ChangeEvent[]): VerifiedOutcome => ({
  outcome: 'failed',
  message: `Only the first step was made (${sent.map(({ path }) => path).join(', ')}): what was to be replaced is stopped or deleted, and nothing new was submitted. ${reported.message}`,
  hint: 'Check the current state with get, then plan again to submit the new one.',
  accepted: 'no',
});
