import type { Transcript } from '../../core/transcript.ts';
import type { Outcome } from '../../core/report.ts';
import { CHECK_STATE } from './failure-table.ts';
import { readFailure } from './read-failure.ts';

/** The outcome of a change, in dstack's own words. */
export interface ChangeOutcome {
  readonly outcome: Extract<Outcome, 'done' | 'nothing-to-do' | 'blocked' | 'failed' | 'unknown'>;
  /** The name of the run, if dstack says it. */
  readonly name?: string;
  /** The line in which dstack says what it did, or why it failed, verbatim. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
}

/** A last line of output that proves what happened. */
interface Proof {
  readonly line: RegExp;
  /** Defaults to `done`. */
  readonly outcome?: 'nothing-to-do';
  readonly hint: string;
}

// cli/services/configurators, and commands/stop.py, fleet.py, volume.py, gateway.py: the same words in 0.20.29, 0.21.5 and 0.22.5.
const PROOFS: readonly Proof[] = [
  {
    line: /^Run (?<name>\S+) (?:submitted|updated), detaching\.\.\.$/,
    hint: 'Follow it with get (it can wait for a state), then logs; ps lists the runs.',
  },
  {
    line: /^(?:Fleet|Volume|Gateway) configuration submitted\. Exiting\.\.\.$/,
    hint: 'It is provisioned in the background: check with fleet, list or get.',
  },
  {
    line: /^(?:No configuration changes detected\. )?Use --force to apply anyway\.$/,
    outcome: 'nothing-to-do',
    hint: 'It already matches the configuration: nothing was changed. Check it with get, ps or fleet.',
  },
  // It says so of a finished run, too.
  {
    line: /^Stopped$/,
    hint: 'The run is stopping or had already finished: get with wait_for "finished" waits for its end.',
  },
  {
    line: /^Aborted$/,
    hint: 'The run is being aborted or had already finished: get with wait_for "finished" waits for its end.',
  },
  { line: /^Fleet \S+ instances deleted$/, hint: 'Use fleet to see what remains of it.' },
  {
    line: /^(?:Run|Fleet|Volume|Gateway)(?: \S+)? deleted$/,
    hint: 'Deletion may take a while: check with fleet, list or ps.',
  },
];

/** Reads what dstack says about a change. Only its last line proves success; an exit code of 0 doesn't. */
export function readOutcome(transcript: Transcript): ChangeOutcome {
  const { exit, stdout } = transcript;
  const last = stdout.split('\n').findLast((line) => line.trim() !== '');
  const proof = last === undefined ? undefined : prove(last);
  // The proof is the last thing dstack prints. If the process was cut off after it, what it proves has happened.
  if (proof !== undefined && (exit.kind !== 'exited' || exit.code === 0)) return proof;
  const { outcome, message, hint } = readFailure(transcript, 'change') ?? {
    outcome: 'unknown',
    message: last ?? 'dstack printed nothing.',
    hint: `dstack didn't report what it did. ${CHECK_STATE}`,
  };
  return { outcome, message, hint };
}

function prove(message: string): ChangeOutcome | undefined {
  for (const { line, outcome = 'done', hint } of PROOFS) {
    const proof = line.exec(message);
    const name = proof?.groups?.['name'];
    if (proof !== null) return { outcome, ...(name === undefined ? {} : { name }), message, hint };
  }
  return undefined;
}
