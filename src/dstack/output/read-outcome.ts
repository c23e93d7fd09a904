import type { Transcript } from '../../core/transcript.ts';
import type { Outcome } from '../../core/report.ts';
import { CHECK_STATE } from './failure-table.ts';
import { announcesReplacing } from './plan-phrases.ts';
import { readFailure } from './read-failure.ts';
import type { Failure } from './read-failure.ts';
import { readProperties, readTable } from './read-table.ts';

/** The outcome of a change. */
export interface ChangeOutcome {
  readonly outcome: Extract<Outcome, 'done' | 'nothing-to-do' | 'blocked' | 'failed' | 'unknown'>;
  /** The action that dstack reports; absent unless the outcome is `done`. */
  readonly did?: 'submitted' | 'updated' | 'stopped' | 'aborted' | 'deleted' | 'instances-deleted';
  readonly kind?: 'run' | 'fleet' | 'volume' | 'gateway' | 'export' | 'import';
  readonly name?: string;
  /** The line in which dstack says so, verbatim. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
  readonly failure?: Failure;
}

type Did = NonNullable<ChangeOutcome['did']>;

/** A line of output that proves what happened. */
interface Proof {
  readonly line: RegExp;
  readonly did: Did | 'nothing';
  readonly hint: string;
}

const WATCH_RUN = 'Follow it with get (it can wait for a state), then logs; ps lists the runs.';
const WATCH_RESOURCE = 'It is provisioned in the background: check with fleet, list or get.';
const UNCHANGED = 'It already matches the configuration: nothing was changed. Check it with get, ps or fleet.';

// services/configurators/run.py, fleet.py, volume.py, gateway.py: the same words in 0.20.29, 0.21.5 and 0.22.5.
const APPLY_PROOFS: readonly Proof[] = [
  { line: /^(?<kind>Run) (?<name>\S+) submitted, detaching\.\.\.$/, did: 'submitted', hint: WATCH_RUN },
  { line: /^(?<kind>Run) (?<name>\S+) updated, detaching\.\.\.$/, did: 'updated', hint: WATCH_RUN },
  {
    line: /^(?<kind>Fleet|Volume|Gateway) configuration submitted\. Exiting\.\.\.$/,
    did: 'submitted',
    hint: WATCH_RESOURCE,
  },
  { line: /^No configuration changes detected\. Use --force to apply anyway\.$/, did: 'nothing', hint: UNCHANGED },
  { line: /^Use --force to apply anyway\.$/, did: 'nothing', hint: UNCHANGED },
  { line: /^Exiting\.\.\.$/, did: 'nothing', hint: "dstack's prompt was declined: nothing was changed." },
];

// commands/stop.py. It prints "Stopped" for a finished run, too.
const STOP_PROOFS: readonly Proof[] = [
  { line: /^Stopped$/, did: 'stopped', hint: 'The run is stopping or had already finished: check with get.' },
  { line: /^Aborted$/, did: 'aborted', hint: 'The run is being aborted or had already finished: check with get.' },
  {
    line: /^Are you sure you want to stop the run\? \[y\/n\]: $/,
    did: 'nothing',
    hint: "dstack's prompt was declined: nothing was changed.",
  },
];

// commands/fleet.py, volume.py, gateway.py, export.py, import_.py; services/configurators/*.py, delete_configuration.
const DELETE_PROOFS: readonly Proof[] = [
  {
    line: /^(?<kind>Fleet) (?<name>\S+) instances deleted$/,
    did: 'instances-deleted',
    hint: 'Use fleet to see what remains of it.',
  },
  {
    line: /^(?<kind>Run|Fleet|Volume|Gateway|Export|Import) (?<name>\S+) deleted$/,
    did: 'deleted',
    hint: 'Deletion may take a while: check with fleet, list or ps.',
  },
  { line: /^(?<kind>Gateway) deleted$/, did: 'deleted', hint: 'Deletion may take a while: check with list.' },
  { line: /^Exiting\.\.\.$/, did: 'nothing', hint: "dstack's prompt was declined: nothing was changed." },
];

function readKind(word: string | undefined): ChangeOutcome['kind'] {
  const kind = word?.toLowerCase();
  const known = ['run', 'fleet', 'volume', 'gateway', 'export', 'import'] as const;
  return known.find((candidate) => candidate === kind);
}

/** Returns what the last line of the output proves; undefined if it proves nothing. */
function prove(stdout: string, proofs: readonly Proof[]): ChangeOutcome | undefined {
  const last = stdout.split('\n').findLast((line) => line.trim() !== '') ?? '';
  for (const { line, did, hint } of proofs) {
    const match = line.exec(last);
    if (match !== null) {
      const kind = readKind(match.groups?.['kind']);
      const name = match.groups?.['name'];
      return {
        outcome: did === 'nothing' ? 'nothing-to-do' : 'done',
        ...(did === 'nothing' ? {} : { did }),
        ...(kind === undefined ? {} : { kind }),
        ...(name === undefined ? {} : { name }),
        message: last,
        hint,
      };
    }
  }
  return undefined;
}

function fromFailure(failure: Failure): ChangeOutcome {
  return { outcome: failure.outcome, message: failure.message, hint: failure.hint, failure };
}

function notUnderstood(transcript: Transcript): ChangeOutcome {
  const last = transcript.stdout.split('\n').findLast((line) => line.trim() !== '');
  const message = last ?? 'dstack printed nothing.';
  return { outcome: 'unknown', message, hint: `dstack didn't report what it did. ${CHECK_STATE}` };
}

interface Reading {
  readonly proofs: readonly Proof[];
  readonly effect: 'change' | 'destroy';
  readonly mayHaveActed: boolean;
}

/** Reads an outcome. Only the last line proves success; an exit code of 0 doesn't. */
function readOutcome(transcript: Transcript, { proofs, effect, mayHaveActed }: Reading): ChangeOutcome {
  const { exit } = transcript;
  const failure = readFailure(transcript, { effect, mayHaveActed });
  const proof = prove(transcript.stdout, proofs);
  // The proof is the last thing dstack prints. If the process was cut off after it, what it proves has happened.
  const holds = proof !== undefined && (exit.kind !== 'exited' || exit.code === 0) && exit.kind !== 'not-started';
  if (holds && (exit.kind === 'exited' || proof.outcome === 'done')) return proof;
  return failure === undefined ? notUnderstood(transcript) : fromFailure(failure);
}

/** Reads the update of a gateway in place, which is reported as a table without a sentence (services/configurators/gateway.py). */
function readGatewayUpdate(transcript: Transcript): ChangeOutcome | undefined {
  const lines = transcript.stdout.split('\n');
  const start = lines.findIndex((line) =>
    /^Found gateway \S+\. Detected changes that can be updated in-place:$/.test(line),
  );
  if (start === -1 || transcript.exit.kind !== 'exited' || transcript.exit.code !== 0) return undefined;
  const name = /^Found gateway (\S+)\./.exec(lines[start] ?? '')?.[1];
  const row = readTable(lines, start)?.rows.find(({ cells }) => cells['NAME'] === name);
  if (row === undefined || name === undefined) return undefined;
  return { outcome: 'done', did: 'updated', kind: 'gateway', name, message: lines[start] ?? '', hint: WATCH_RESOURCE };
}

/** Reads the outcome of `dstack apply … -y -d`. */
export function readApplyOutcome(transcript: Transcript): ChangeOutcome {
  const lines = transcript.stdout.split('\n');
  // The plan is printed before anything is done. It may be missing from output that was cut in the middle.
  const planShown = readProperties(lines) !== undefined || transcript.omittedBytes > 0;
  const isCutOff =
    transcript.exit.kind === 'lost' || transcript.exit.kind === 'timed-out' || transcript.exit.kind === 'cancelled';
  const outcome = readOutcome(transcript, {
    proofs: APPLY_PROOFS,
    effect: 'change',
    mayHaveActed: planShown || isCutOff,
  });
  if (outcome.outcome === 'done' || outcome.outcome === 'nothing-to-do') return outcome;
  const updated = readGatewayUpdate(transcript);
  if (updated !== undefined) return updated;
  if (!lines.some(announcesReplacing) || transcript.exit.kind === 'not-started') return outcome;
  // A replace stops (or deletes) first and then creates: a failure in between leaves nothing running.
  return {
    ...outcome,
    outcome: 'unknown',
    hint: `The existing one may already have been stopped or deleted, without a replacement. ${CHECK_STATE} ${outcome.hint}`,
  };
}

/** Reads the outcome of `dstack stop -y`. */
export function readStopOutcome(transcript: Transcript): ChangeOutcome {
  return readOutcome(transcript, { proofs: STOP_PROOFS, effect: 'destroy', mayHaveActed: true });
}

/** Reads the outcome of `dstack fleet delete`, `volume delete`, `gateway delete` or `delete -f`. */
export function readDeleteOutcome(transcript: Transcript): ChangeOutcome {
  return readOutcome(transcript, { proofs: DELETE_PROOFS, effect: 'destroy', mayHaveActed: true });
}
