import type { Effect, Outcome } from '../../core/report.ts';
import type { Exit, Transcript } from '../../core/transcript.ts';
import { CHECK_STATE, FAILURE_TABLE } from './failure-table.ts';
import type { FailureCode } from './failure-table.ts';
import { withoutPlan } from './plan-text.ts';

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

/** The kind of a failure that dstack itself didn't report. */
type EndCode = 'traceback' | 'not-started' | 'timed-out' | 'cancelled' | 'not-understood';

/** Why a command failed, in dstack's own words. */
export interface Failure {
  readonly code: FailureCode | EndCode;
  /** `unknown` if a change may have been made anyway. */
  readonly outcome: Extract<Outcome, 'blocked' | 'failed' | 'unknown'>;
  /** dstack's own words, verbatim; for a Python traceback, the exception below it. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
  /** Whether repeating the same command may help. Never a reason to repeat a change: see `outcome`. */
  readonly transient: boolean;
  /** Set if repeating the same command with the same file is pointless. */
  readonly permanent?: true;
  /** Set if programs or people may have written a part of the output. */
  readonly isForeign?: true;
}

const TRACEBACK = 'Traceback (most recent call last):';

/** Returns the exception below the last traceback, with all its lines; undefined if there is no traceback. */
export function readException(text: string): string | undefined {
  const start = text.lastIndexOf(TRACEBACK);
  if (start === -1) return undefined;
  const lines = text.slice(start).split('\n').slice(1);
  // Frames are indented; the exception isn't, but may continue over indented lines.
  const first = lines.findIndex((line) => /^\S/.test(line));
  return first === -1 ? undefined : lines.slice(first).join('\n').trim();
}

function recognize(text: string, effect: Effect, exception: string | undefined): Failure | undefined {
  const mayHaveActed = effect !== 'read';
  for (const { code, pattern, hint, traits = [] } of FAILURE_TABLE) {
    const message = pattern.exec(text)?.[0].trim();
    if (message === undefined) continue;
    const isUnclear = mayHaveActed && traits.includes('midway');
    return {
      code,
      message,
      transient: traits.includes('transient'),
      ...(traits.includes('permanent') ? { permanent: true } : {}),
      outcome: isUnclear ? 'unknown' : traits.includes('failed') ? 'failed' : 'blocked',
      hint: isUnclear ? `${CHECK_STATE} ${hint}` : hint,
    };
  }
  if (exception === undefined) return undefined;
  return {
    code: 'traceback',
    outcome: mayHaveActed ? 'unknown' : 'failed',
    message: exception,
    hint: `dstack crashed with an internal error; see the output for the full traceback. ${mayHaveActed ? CHECK_STATE : 'Check with doctor.'}`,
    transient: false,
  };
}

function readExited(transcript: Pick<Transcript, 'stdout' | 'stderr'>, code: number, effect: Effect): Failure {
  const exception = readException(transcript.stderr) ?? readException(transcript.stdout);
  const stderr = exception ?? transcript.stderr.trim();
  const stdout = readException(transcript.stdout) === undefined ? withoutPlan(transcript.stdout) : '';
  // To a pattern, each carriage return starts a line: a run of them would be searched in quadratic time.
  const text = `${stdout}\n${stderr}`.trim().replace(/\r+/g, '\n');
  return (
    recognize(text, effect, exception) ?? {
      code: 'unknown-error',
      // dstack prints the reason if the server rejects a change; if it prints nothing, nothing is known.
      outcome: text === '' && effect !== 'read' ? 'unknown' : 'failed',
      message: text === '' ? `dstack exited with code ${code} and printed nothing.` : text,
      hint: effect === 'read' ? 'Use help to see what this command accepts, or check with doctor.' : CHECK_STATE,
      transient: false,
    }
  );
}

/** The ends of commands that dstack didn't finish itself: the code, the words if they are always the same, and the next step after a read. */
const BROKEN = {
  'timed-out': [
    'timed-out',
    "dstack didn't finish within the time limit.",
    'Try again, or use doctor to check whether the server responds.',
  ],
  cancelled: ['cancelled', 'The call was canceled while dstack was running.', 'Make the same call again.'],
  signalled: ['interrupted', '', 'Try again.'],
  lost: ['interrupted', '', 'Try again.'],
} as const;

/** Describes such an end. */
function readBroken(exit: Exclude<Exit, { kind: 'exited' }>, effect: Effect): Failure {
  if (exit.kind === 'not-started') {
    const hint = 'Nothing was changed. Use doctor to check that the dstack CLI runs.';
    return { code: 'not-started', outcome: 'failed', message: exit.reason, hint, transient: false };
  }
  const [code, words, hint] = BROKEN[exit.kind];
  const message = 'reason' in exit ? exit.reason : 'signal' in exit ? `dstack was ended by ${exit.signal}.` : words;
  const said = { code, message };
  if (effect === 'read') return { ...said, outcome: 'failed', hint, transient: true };
  const continues = exit.kind === 'timed-out' && exit.stillRunning ? 'It continues in the background. ' : '';
  return { ...said, outcome: 'unknown', hint: `${continues}${CHECK_STATE}`, transient: false };
}

// The errors that `dstack logs` and `dstack event` usually print before anything else. dstack's errors have spaces: appended to what a
// job printed without a line break, they make another line than these.
const PLAIN_URL = String.raw`[\w.:/@%?&=+~[\]-]+`;
const PLAIN_ERRORS = new RegExp(
  `^(?:${[
    String.raw`(?:Run|Fleet|Volume|Gateway|Resource)(?: [\w-]+| project=\w+ name='[\w-]+')? not found`,
    String.raw`Failed to find replica=\w+ job=\d+`,
    'No default project, specify project name',
    String.raw`Project [\w.-]+ is not configured`,
    `Failed to connect to dstack server ${PLAIN_URL}`,
    String.raw`Access to ${PLAIN_URL} is denied\. Please check your access token`,
    `Status code 40[45] when requesting ${PLAIN_URL}`,
    String.raw`Unexpected error: status code \d+ when requesting ${PLAIN_URL} Check the server logs for backend issues, and the CLI logs at \([\w~./-]+\) local CLI output`,
    String.raw`dstack-mcp did not send this request \([\w./-]+\): it goes to another host than dstack's server\.`,
  ].join('|')})$`,
);

/**
 * Returns why a command failed that prints what jobs and people wrote (`logs`, `event`); undefined if it ended with exit code 0. Concludes
 * nothing from its standard output, unless that is one of dstack's own errors and nothing else.
 */
export function readForeignFailure({ exit, stdout, stderr }: Transcript): Failure | undefined {
  if (exit.kind !== 'exited') return { ...readBroken(exit, 'read'), isForeign: true };
  if (exit.code === 0) return undefined;
  const own = stderr.trim() === '' && PLAIN_ERRORS.test(stdout.trim()) ? stdout : stderr;
  if (own.trim() === '' && stdout.trim() !== '')
    return {
      code: 'unknown-error',
      outcome: 'failed',
      message: `dstack exited with code ${exit.code}. What it printed may be the text of others, so it is only shown.`,
      hint: 'Make the same call again, or check with doctor.',
      transient: false,
      isForeign: true,
    };
  const failure = readExited({ stdout: '', stderr: own }, exit.code, 'read');
  // The lines below an exception can have the values that it is about.
  return { ...failure, message: failure.message.split('\n', 1)[0] ?? '', isForeign: true };
}

/** Returns why a command failed; undefined if it ended with exit code 0. What an unclear end means depends on its effect. */
export function readFailure({ exit, ...transcript }: Transcript, effect: Effect = 'read'): Failure | undefined {
  if (exit.kind !== 'exited') return readBroken(exit, effect);
  return exit.code === 0 ? undefined : readExited(transcript, exit.code, effect);
}
