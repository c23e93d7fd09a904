import { constants } from 'node:os';
import { formatBytes, formatDuration, plural } from '../core/format-values.ts';
import type { Printed, Report } from '../core/report.ts';
import { ownTranscript } from '../core/transcript.ts';
import type { BackgroundJob } from './background-jobs.ts';
import type { CommandEnd, CommandResult, Stream } from './run-command.ts';

/** The facts of a report about commands in a run. */
export interface ExecFacts {
  readonly run: string;
  readonly exitCode: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  readonly durationMs: number;
  readonly id: string;
  readonly state: BackgroundJob['state'];
  readonly newer: string;
  /** Until when commands and uploads are allowed in the run. */
  readonly grantedUntil: string;
  readonly jobs: { id: string; state: string; exitCode?: number | undefined }[];
}

/** The job that a command ran in. */
export interface Where {
  readonly run: string;
  readonly replica: number;
  readonly job: number;
}

/** Names the job if it isn't the first one. */
export const placeOf = ({ run, replica, job }: Where): string =>
  replica === 0 && job === 0 ? run : `${run} (replica=${replica} job=${job})`;

/** A command that was run, and what else is known about its run. */
export interface RanCommand {
  readonly command: string;
  readonly where: Where;
  readonly result: CommandResult;
  readonly timeoutMs: number;
  /** Defaults to nothing. */
  readonly note?: string | undefined;
}

const MAX_CHARS = 7_000;

/** Reports how a command ended, and what it printed. */
export function reportCommand({ command, where, result, timeoutMs, note }: RanCommand): Report<ExecFacts> {
  const { end, stdout, stderr, durationMs, hasLeftovers } = result;
  const leftovers = 'A process that it left still had its output open: it continues, but without it.';
  const next = adviseOn(end, hasLeftovers);
  return {
    outcome: outcomeOf(end),
    summary: [
      describeEnd(end, placeOf(where), { durationMs, timeoutMs }),
      ...(note === undefined ? [] : [note]),
      ...(hasLeftovers ? [leftovers] : []),
    ].join(' '),
    printed: printedOf(command, result),
    facts: {
      run: where.run,
      ...(end.kind === 'exited' ? { exitCode: end.exitCode } : {}),
      ...codeOf(end),
      stdoutBytes: stdout.bytes,
      stderrBytes: stderr.bytes,
      durationMs: Math.round(durationMs),
    },
    ...(next === undefined ? {} : { next }),
  };
}

const isUnknown = (end: CommandEnd): boolean =>
  end.kind === 'lost' || ((end.kind === 'timed-out' || end.kind === 'cancelled') && end.left?.length !== 0);

function outcomeOf(end: CommandEnd): Report<ExecFacts>['outcome'] {
  if (isUnknown(end)) return 'unknown';
  return end.kind === 'exited' && end.exitCode === 0 ? 'done' : 'failed';
}

function codeOf(end: CommandEnd): { code?: string } {
  if (end.kind === 'exited') return {};
  return { code: end.kind === 'lost' || end.kind === 'not-started' ? 'connection-lost' : end.kind };
}

interface Times {
  readonly durationMs: number;
  readonly timeoutMs: number;
}

function describeEnd(end: CommandEnd, place: string, { durationMs, timeoutMs }: Times): string {
  switch (end.kind) {
    case 'exited':
      return `Exit code ${end.exitCode}${signalOf(end.exitCode)} in ${place} after ${seconds(durationMs)}.`;
    case 'not-started':
      return `It wasn't run: ${place} can't be reached over its connection.`;
    case 'lost':
      return `The connection to ${place} was lost. It isn't known how the command ended.`;
    case 'timed-out':
      return `Not done in ${place} after ${seconds(timeoutMs)}. ${describeLeft(end.left)}`;
    case 'cancelled':
      return `Canceled in ${place}. ${describeLeft(end.left)}`;
    default:
      return end satisfies never;
  }
}

const seconds = (ms: number): string => (ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : formatDuration(ms));

function describeLeft(left: readonly number[] | undefined): string {
  if (left === undefined) return "Ending it wasn't confirmed: it may still be running.";
  return left.length === 0
    ? 'It was ended with its processes.'
    : `${plural(left.length, 'process')} of it could not be ended: ${left.join(', ')}.`;
}

/** Shells report the end by a signal as an exit code above 128. */
function signalOf(exitCode: number): string {
  const name = Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0];
  return exitCode > 128 && name !== undefined ? ` (${name})` : '';
}

function adviseOn(end: CommandEnd, hasLeftovers: boolean): string | undefined {
  if (end.kind === 'lost') return 'Check the run with get, and what the command did, before you run it again.';
  if (end.kind === 'not-started') return 'Check with get whether the run is still running.';
  if (isUnknown(end)) return 'Look for it with `ps` in the run before anything else.';
  if (end.kind === 'timed-out') return 'For a longer command, pass background: true.';
  return hasLeftovers ? 'Use background: true for what has to keep running.' : undefined;
}

const MAX_COMMAND_CHARS = 300;

function printedOf(command: string, { stdout, stderr }: CommandResult): Printed[] {
  const shown = command.length > MAX_COMMAND_CHARS ? `${command.slice(0, MAX_COMMAND_CHARS)}…` : command;
  const texts = { stdout: textOf(stdout), stderr: textOf(stderr) };
  const omittedBytes = stdout.omittedBytes + stderr.omittedBytes;
  const show = { untrusted: true, keep: 'both', rest: 'redirect it to a file and read that in parts' } as const;
  // Of two long streams, both ends of each are shown.
  if (texts.stdout.length + texts.stderr.length <= MAX_CHARS || texts.stderr === '')
    return [
      {
        ...show,
        transcript: { ...ownTranscript(shown, texts.stdout), stderr: texts.stderr, omittedBytes },
        maxChars: MAX_CHARS,
      },
    ];
  return [
    { ...show, transcript: { ...ownTranscript(shown, texts.stdout), omittedBytes: stdout.omittedBytes } },
    {
      ...show,
      transcript: { ...ownTranscript(`${shown} (standard error)`, texts.stderr), omittedBytes: stderr.omittedBytes },
    },
  ];
}

const textOf = ({ text, bytes, isBinary }: Stream): string =>
  isBinary ? `[binary output, ${formatBytes(bytes)}: not shown; copy a file instead]` : text;
