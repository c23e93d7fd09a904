import { describeShownJob } from '../output/choose-job.ts';
import type { WantedJob } from '../output/choose-job.ts';
import { formatTime } from './describe-run.ts';
import type { RunFacts } from '../output/read-run.ts';

/** The parts of a read log that its lines don't show. */
interface LogState {
  /** Undefined if the run can't be looked up. */
  readonly run: RunFacts | undefined;
  /** The job that printed it. */
  readonly shown?: WantedJob | undefined;
  readonly isEmpty: boolean;
  /** False if the log was too long to be read in time. */
  readonly isWhole: boolean;
}

/** Says whose log it is, and whether there is more than what was read. */
export function describeLog({ run, shown, isEmpty, isWhole }: LogState): string[] {
  const submitted = run?.submittedAt === undefined ? '' : `, submitted at ${formatTime(run.submittedAt)}`;
  const more = run?.isFinished === true ? 'its log is complete' : 'more may come';
  return [
    ...(run === undefined ? [] : [`run: ${run.name} (${run.id}), ${run.status}${submitted}; ${more}`]),
    ...describeShownJob(run?.jobs ?? [], shown),
    ...(isWhole || isEmpty
      ? []
      : ['The log is too long to be read in time: this is its earlier part. `since`, as in 10m, reads the newest.']),
  ];
}

interface Window {
  readonly since?: string | undefined;
  readonly filter?: string | undefined;
}

/** Returns the next step where nothing is shown of a log. */
export function adviseOnLog(run: RunFacts | undefined, { since, filter }: Window): string {
  if (since !== undefined || filter !== undefined)
    return 'Nothing of its log is in this window: omit `since` and `filter` to see the rest.';
  if (run?.isFinished === true)
    return 'It ended without output: `diagnose` shows the log of the runner, and get why it ended.';
  return 'It may not have started, or has not printed anything yet: get with wait_for "running" waits for its start.';
}
