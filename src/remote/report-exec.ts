import { constants } from 'node:os';
import * as z from 'zod';
import { formatBytes, formatDuration, plural } from '../core/values.ts';
import type { Printed, Report } from '../core/report.ts';
import { ownText, ownTranscript } from '../core/transcript.ts';
import type { BackgroundJob, JobOutput, JobStop } from './background-jobs.ts';
import type { CommandEnd, CommandResult, Stream } from './run-command.ts';

export const execFacts = z.object({
  run: z.string(),
  exitCode: z.number(),
  stdoutBytes: z.number(),
  stderrBytes: z.number(),
  durationMs: z.number(),
  id: z.string(),
  state: z.enum(['running', 'ended', 'lost']),
  newer: z.string(),
  grantedUntil: z.string().describe('Until when commands and uploads are allowed'),
  jobs: z.array(z.object({ id: z.string(), state: z.string(), exitCode: z.number().optional() })),
});
export type ExecFacts = z.output<typeof execFacts>;

/** The job that a command ran in. */
export interface Where {
  readonly run: string;
  readonly replica: number;
  readonly job: number;
}

/** Names the job if it isn't the first one. */
const placeOf = ({ run, replica, job }: Where): string =>
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
      exitCode: end.kind === 'exited' ? end.exitCode : undefined,
      ...codeOf(end),
      stdoutBytes: stdout.bytes,
      stderrBytes: stderr.bytes,
      durationMs: Math.round(durationMs),
    },
    next,
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
      return `The command didn't finish in ${place} within ${seconds(timeoutMs)}. ${describeLeft(end.left)}`;
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
  if (isUnknown(end))
    return 'Before anything else, call exec with `command` "ps -ef" to check whether it is still running.';
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

/** How much of each stream is on a page, so that a result fits into 8 KB. */
export const PAGE_BYTES = 3_000;

export const reportStarted = (id: string, where: Where): Report<ExecFacts> => ({
  outcome: 'done',
  summary: `Started in the background in ${placeOf(where)}, with the id ${id}. It continues without this server, until it ends, is stopped, or the run ends.`,
  printed: [],
  facts: { run: where.run, id, state: 'running' },
  next: `Call exec with action "output" and id "${id}".`,
});

const describeJob = ({ id, state, exitCode, seconds: age, stdoutBytes, stderrBytes }: BackgroundJob): string => {
  const end =
    state === 'lost'
      ? 'ended in an unknown way'
      : state === 'ended'
        ? `ended with exit code ${exitCode}`
        : 'is running';
  return `${id} ${end} after ${formatDuration(age * 1_000)}, with ${formatBytes(stdoutBytes + stderrBytes)} of output`;
};

/** Reports a part of the output of a background command. */
export function reportOutput(run: string, { job, stdout, stderr, newer, more, before }: JobOutput): Report<ExecFacts> {
  const parts = [
    ...(before === 0 ? [] : [`${formatBytes(before)} before this part`]),
    ...(more === 0 ? [] : [`${formatBytes(more)} after it`]),
  ];
  return {
    outcome: 'done',
    summary: `${describeJob(job)}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}.`,
    printed: [
      {
        transcript: { ...ownText(stdout), stderr },
        untrusted: true,
        keep: 'end',
        maxChars: 2 * PAGE_BYTES + 200,
      },
    ],
    facts: {
      run,
      id: job.id,
      state: job.state,
      exitCode: job.exitCode,
      newer,
    },
    next:
      more > 0 || job.state === 'running'
        ? `Call exec with action "output", id "${job.id}" and cursor "${newer}" for what follows.`
        : undefined,
  };
}

/** Reports the end of a background command: stopped is only what has really ended. */
export function reportStop(id: string, { before, exitCode, left }: JobStop): Report<ExecFacts> {
  if (before !== 'running')
    return {
      outcome: 'nothing-to-do',
      summary:
        before === 'ended'
          ? `${id} had ended with exit code ${exitCode}.`
          : `${id} isn't running anymore; how it ended isn't known.`,
      printed: [],
      facts: { id, state: before },
    };
  if (left.length > 0)
    return {
      outcome: 'unknown',
      summary: `${plural(left.length, 'process')} of ${id} could not be ended: ${left.join(', ')}.`,
      printed: [],
      facts: { id, state: 'running' },
      next: 'Call exec with action "stop" again.',
    };
  return {
    outcome: 'done',
    summary: `Stopped ${id} with its processes. The run continues, and so does its cost.`,
    printed: [],
    facts: { id, state: 'ended', exitCode },
  };
}

export const reportList = (run: string, jobs: readonly BackgroundJob[]): Report<ExecFacts> => ({
  outcome: 'done',
  summary:
    jobs.length === 0
      ? `${run} has no background commands of this server.`
      : `${plural(jobs.length, 'background command')} in ${run}.`,
  printed:
    jobs.length === 0
      ? []
      : [
          {
            transcript: ownText(jobs.map((job) => `${describeJob(job)}: ${job.command.split('\n')[0]}`).join('\n')),
            untrusted: true,
          },
        ],
  facts: {
    run,
    jobs: jobs.map(({ id, state, exitCode }) => ({ id, state, exitCode })),
  },
});

/** Reports the end of the consent to use a run. */
export const reportRevoked = (run: string, isEnded: boolean): Report<ExecFacts> => ({
  outcome: isEnded ? 'done' : 'nothing-to-do',
  summary: isEnded
    ? `The consent to use ${run} is revoked. Commands that are already running continue.`
    : `There is no consent to use ${run}.`,
  printed: [],
  facts: { run },
});
