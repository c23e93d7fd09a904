import { ToolError } from '../../core/errors.ts';
import { plural } from '../../core/format-values.ts';

/** A job of a run, as far as it is chosen and named by it. */
interface Job {
  readonly replica: number;
  readonly job: number;
  readonly status: string;
  readonly deployment?: number | undefined;
}

/** The job that a call asks for. */
export interface WantedJob {
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
}

// core/models/runs.py, JobStatus.finished_statuses.
const JOB_ENDS: ReadonlySet<string> = new Set(['terminated', 'aborted', 'failed', 'done']);

/** Whether a job has ended. */
export const hasJobEnded = ({ status }: Pick<Job, 'status'>): boolean => JOB_ENDS.has(status);

/** Returns the numbers of the replicas that have a job which hasn't ended. */
export const liveReplicas = (jobs: readonly Job[]): readonly number[] => [
  ...new Set(jobs.filter((one) => !hasJobEnded(one)).map(({ replica }) => replica)),
];

/**
 * Returns the job that stands for a run: the wanted one. Without a replica, one that runs, else one that is about to, else one of the
 * latest deployment: a service that was updated or scaled keeps its former replicas, which come first. Without a job, the first one of
 * its replica. Undefined if the run has no jobs.
 * @throws ToolError `invalid-value` if the wanted job isn't there, with those that are
 */
export function chooseJob<T extends Job>(run: string, jobs: readonly T[], wanted: WantedJob): T | undefined {
  const candidates = jobs.filter(
    ({ replica, job }) => replica === (wanted.replica ?? replica) && job === (wanted.job ?? job),
  );
  const [best] = candidates.toSorted((a, b) => rank(b) - rank(a) || (b.deployment ?? 0) - (a.deployment ?? 0));
  if (best !== undefined) return candidates.find(({ replica }) => replica === best.replica);
  if (wanted.replica === undefined && wanted.job === undefined) return undefined;
  throw noSuchJob(run, jobs, wanted);
}

const rank = (job: Job): number => (job.status === 'running' ? 2 : hasJobEnded(job) ? 0 : 1);

const MAX_NAMED = 20;

/** Names jobs as dstack does, with their statuses; those that run first. */
export function nameJobs(jobs: readonly Job[]): string {
  const named = jobs
    .toSorted((a, b) => rank(b) - rank(a))
    .slice(0, MAX_NAMED)
    .map((one) => `replica=${one.replica} job=${one.job} (${one.status})`);
  const rest = jobs.length - named.length;
  return [...named, ...(rest === 0 ? [] : [`${rest} more`])].join(', ');
}

/** Says which of several jobs is shown, and names the others. Nothing for the only one. */
export function describeShownJob(jobs: readonly Job[], shown: WantedJob | undefined): string[] {
  if (shown === undefined || jobs.length < 2) return [];
  const isShown = ({ replica, job }: Job): boolean => replica === shown.replica && job === shown.job;
  const others = jobs.filter((one) => !isShown(one));
  return [`shown: ${nameJobs(jobs.filter(isShown))}; ${plural(others.length, 'other job')}: ${nameJobs(others)}`];
}

function noSuchJob(run: string, jobs: readonly Job[], { replica, job }: WantedJob): ToolError {
  const wanted = Object.entries({ replica, job }).flatMap(([name, of]) => (of === undefined ? [] : [`${name}=${of}`]));
  const present = jobs.length === 0 ? 'It has no jobs now' : `It has ${nameJobs(jobs)}`;
  return new ToolError(
    'invalid-value',
    `Run ${run} has no ${wanted.join(' ')}. ${present}. Nothing was read.`,
    'Pass one of these, or neither replica nor job for one that runs.',
  );
}
