import type { Transcript } from '../../core/transcript.ts';
import type { Outcome } from '../../core/report.ts';
import { announcesReplacing } from './plan-phrases.ts';
import { readFailure } from './read-failure.ts';
import type { Failure } from './read-failure.ts';
import { readProperties } from './read-properties.ts';
import { readTable } from './read-table.ts';

/** What a change came to. */
export interface ChangeOutcome {
  readonly outcome: Extract<Outcome, 'done' | 'nothing-to-do' | 'blocked' | 'failed' | 'unknown'>;
  /** What dstack says that it did; absent unless the outcome is `done`. */
  readonly did?: 'submitted' | 'updated' | 'stopped' | 'aborted' | 'deleted' | 'instances-deleted';
  readonly kind?: 'run' | 'fleet' | 'volume' | 'gateway' | 'export' | 'import';
  readonly name?: string;
  /** dstack's own words that say so. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
  readonly failure?: Failure;
}

type Did = NonNullable<ChangeOutcome['did']>;

/** A line that proves what happened, and what it proves. */
interface Proof {
  readonly line: RegExp;
  readonly did: Did | 'nothing';
  readonly hint: string;
}

const LOOK = 'Look where things stand with ps, fleet or list before anything is tried again.';
const WATCH_RUN = 'Watch it with get (it can wait for a state), then logs; ps lists the runs.';
const WATCH_RESOURCE = 'It is being provisioned in the background: look with fleet, list or get.';
const UNCHANGED = 'It is as the file says already: nothing was done. Look at it with get, ps or fleet.';

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
  { line: /^Exiting\.\.\.$/, did: 'nothing', hint: "dstack's question was answered no: nothing was done." },
];

// commands/stop.py. A finished run is "Stopped" too.
const STOP_PROOFS: readonly Proof[] = [
  { line: /^Stopped$/, did: 'stopped', hint: 'The run is stopping, or was over already: see with get.' },
  { line: /^Aborted$/, did: 'aborted', hint: 'The run is ending, or was over already: see with get.' },
  {
    line: /^Are you sure you want to stop the run\? \[y\/n\]: $/,
    did: 'nothing',
    hint: "dstack's question was answered no: nothing was done.",
  },
];

// commands/fleet.py, volume.py, gateway.py, export.py, import_.py; services/configurators/*.py, delete_configuration.
const DELETE_PROOFS: readonly Proof[] = [
  {
    line: /^(?<kind>Fleet) (?<name>\S+) instances deleted$/,
    did: 'instances-deleted',
    hint: 'See with fleet what is left of it.',
  },
  {
    line: /^(?<kind>Run|Fleet|Volume|Gateway|Export|Import) (?<name>\S+) deleted$/,
    did: 'deleted',
    hint: 'It may take a while to go: see with fleet, list or ps.',
  },
  { line: /^(?<kind>Gateway) deleted$/, did: 'deleted', hint: 'It may take a while to go: see with list.' },
  { line: /^Exiting\.\.\.$/, did: 'nothing', hint: "dstack's question was answered no: nothing was done." },
];

function readKind(word: string | undefined): ChangeOutcome['kind'] {
  const kind = word?.toLowerCase();
  const known = ['run', 'fleet', 'volume', 'gateway', 'export', 'import'] as const;
  return known.find((candidate) => candidate === kind);
}

/** What the last line that dstack printed proves; undefined where it proves nothing. */
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
  const message = last ?? 'dstack ended without a word.';
  return { outcome: 'unknown', message, hint: `dstack didn't say what it did. ${LOOK}` };
}

interface Reading {
  readonly proofs: readonly Proof[];
  readonly effect: 'change' | 'destroy';
  readonly mayHaveActed: boolean;
}

/** Success is only what the last line proves; an exit code of 0 says nothing. */
function readOutcome(transcript: Transcript, { proofs, effect, mayHaveActed }: Reading): ChangeOutcome {
  const { exit } = transcript;
  const failure = readFailure(transcript, { effect, mayHaveActed });
  const proof = prove(transcript.stdout, proofs);
  // The proof is the last thing dstack prints. Where the process was cut off behind it, what it proves has happened.
  const holds = proof !== undefined && (exit.kind !== 'exited' || exit.code === 0) && exit.kind !== 'not-started';
  if (holds && (exit.kind === 'exited' || proof.outcome === 'done')) return proof;
  return failure === undefined ? notUnderstood(transcript) : fromFailure(failure);
}

/** A gateway that was updated in place is shown as a table, without a sentence (services/configurators/gateway.py). */
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

/** Reads what `dstack apply … -y -d` came to. */
export function readApplyOutcome(transcript: Transcript): ChangeOutcome {
  const lines = transcript.stdout.split('\n');
  // Every plan is printed before anything is done. Output that was cut in the middle may have lost it.
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
  // Replacing is stopping (or deleting) first, and making anew then: a failure in between leaves nothing running.
  return {
    ...outcome,
    outcome: 'unknown',
    hint: `The present one may have been stopped or deleted already, with nothing in its place. ${LOOK} ${outcome.hint}`,
  };
}

/** Reads what `dstack stop -y` came to. */
export function readStopOutcome(transcript: Transcript): ChangeOutcome {
  return readOutcome(transcript, { proofs: STOP_PROOFS, effect: 'destroy', mayHaveActed: true });
}

/** Reads what `dstack fleet delete`, `volume delete`, `gateway delete` or `delete -f` came to. */
export function readDeleteOutcome(transcript: Transcript): ChangeOutcome {
  return readOutcome(transcript, { proofs: DELETE_PROOFS, effect: 'destroy', mayHaveActed: true });
}
