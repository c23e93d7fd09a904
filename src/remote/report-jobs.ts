import { formatBytes, formatDuration, plural } from '../core/format-values.ts';
import type { Report } from '../core/report.ts';
import { ownText } from '../core/transcript.ts';
import type { BackgroundJob, JobOutput, JobStop } from './background-jobs.ts';
import { placeOf } from './report-command.ts';
import type { ExecFacts, Where } from './report-command.ts';

/** How much of each stream is on a page, so that a result fits into 8 KB. */
export const PAGE_BYTES = 3_000;

/** Reports the start of a background command. */
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
      ...(job.exitCode === undefined ? {} : { exitCode: job.exitCode }),
      newer,
    },
    ...(more > 0 || job.state === 'running'
      ? { next: `Call exec with action "output", id "${job.id}" and cursor "${newer}" for what follows.` }
      : {}),
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
    facts: { id, state: 'ended', ...(exitCode === undefined ? {} : { exitCode }) },
  };
}

/** Lists the background commands of a run. */
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
    jobs: jobs.map(({ id, state, exitCode }) => ({
      id,
      state,
      ...(exitCode === undefined ? {} : { exitCode }),
    })),
  },
});

/** Reports the end of the consent to use a run. */
export const reportRevoked = (run: string, isEnded: boolean): Report<ExecFacts> => ({
  outcome: isEnded ? 'done' : 'nothing-to-do',
  summary: isEnded
    ? `The consent to use ${run} is revoked. What runs there by now goes on.`
    : `There is no consent to use ${run}.`,
  printed: [],
  facts: { run },
});
