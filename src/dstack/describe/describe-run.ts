import { formatDollars, formatDuration, formatPrice, plural } from '../../core/format-values.ts';
import { describeService } from './describe-service.ts';
import type { RunFacts } from '../output/read-run.ts';

/** Describes the status of a run in one sentence. */
export function describeStatus(run: RunFacts): string {
  const { jobs, status, statusMessage, exitStatus, terminationReason, terminationMessage } = run;
  // A run's own reason usually only says that a job failed.
  const reason = jobs.find((job) => job.status === 'failed')?.terminationReason ?? terminationReason;
  const details = [
    ...(statusMessage === undefined || statusMessage === status ? [] : [statusMessage]),
    // The progress of a pull stays in the run's record after the pull.
    ...(statusMessage === 'pulling' ? jobs.flatMap((job) => job.imagePullProgress ?? []) : []),
    ...(exitStatus === undefined ? [] : [`exit status ${exitStatus}`]),
    ...(reason === undefined ? [] : [`reason: ${reason}`]),
    ...(terminationMessage === undefined ? [] : [terminationMessage]),
  ];
  return `Run ${run.name} is ${status}${details.length === 0 ? '' : ` (${details.join('; ')})`}.`;
}

/** Returns the lines with what a reader needs to know of a run: what it asked for, what it got, its cost, its jobs, how to reach it. */
export function describeRun(run: RunFacts): string[] {
  const { kind = 'run', configurationPath, requested, user } = run;
  const file = configurationPath === undefined ? '' : ` from ${configurationPath}`;
  return [
    `${kind}${file}${user === undefined ? '' : `, submitted by ${user}`}${describeTimes(run)}`,
    ...(requested === undefined ? [] : [`asked for: ${requested}`]),
    ...describePlace(run),
    ...describeCost(run),
    ...describeService(run),
    ...describeJobs(run),
  ];
}

/** Shortens a time to its seconds: `2026-11-25T01:32:52Z`. */
export const formatTime = (time: string): string => time.replace(/\.\d+(?=Z|[+-]\d|$)/, '');

function describeTimes({ submittedAt, finishedAt }: RunFacts): string {
  if (submittedAt === undefined) return '';
  if (finishedAt === undefined) return ` at ${formatTime(submittedAt)}`;
  const lasted = Date.parse(finishedAt) - Date.parse(submittedAt);
  return ` at ${formatTime(submittedAt)}, finished after ${formatDuration(lasted)}`;
}

function describePlace(run: RunFacts): string[] {
  const { backend, region, instanceType, gpu, hardware, spot, fleet, isFinished, jobs } = run;
  if (backend === undefined) return [];
  const prices = new Set(jobs.flatMap(({ pricePerHour }) => pricePerHour ?? []));
  const [price] = prices;
  const parts = [
    [instanceType, ...(gpu === undefined ? [] : [`gpu=${gpu}`]), hardware].filter(Boolean).join(' '),
    `${backend === 'remote' ? 'ssh' : [backend, region].filter(Boolean).join(' ')}${spot === true ? ', spot' : ''}`,
    ...(fleet === undefined ? [] : [`fleet ${fleet}`]),
    ...(prices.size === 1 && price !== undefined ? [`${formatPrice(price)}${jobs.length > 1 ? ' each' : ''}`] : []),
  ];
  return [`${isFinished ? 'ran' : 'runs'} on: ${parts.filter((part) => part !== '').join('; ')}`];
}

function describeCost({ costUsd, pricePerHour, jobs, isFinished, maxDurationSeconds }: RunFacts): string[] {
  if (costUsd === undefined) return [];
  // dstack rounds; a run that costs something is never shown as free.
  const isPaid = jobs.some((job) => (job.pricePerHour ?? 0) > 0);
  const cost = costUsd === 0 && isPaid ? '< $0.01' : formatDollars(costUsd);
  if (isFinished) return [`cost: ${cost}`];
  const rate = pricePerHour === undefined ? '' : `, ${formatPrice(pricePerHour)} now`;
  const end = maxDurationSeconds === undefined ? '' : `, ends after ${formatDuration(maxDurationSeconds * 1_000)}`;
  return [`cost so far: ${cost}${rate}${end}`];
}

const MAX_JOBS = 20;

/** Describes each job, if there are several; those that failed first. */
function describeJobs({ jobs }: RunFacts): string[] {
  if (jobs.length < 2) return [];
  const sorted = jobs.toSorted((a, b) => Number(b.status === 'failed') - Number(a.status === 'failed'));
  const shown = sorted
    .slice(0, MAX_JOBS)
    .map(({ name, status, statusMessage, exitStatus, terminationReason, error }) => {
      const details = [
        ...(statusMessage === undefined ? [] : [statusMessage]),
        ...(exitStatus === undefined ? [] : [`exit status ${exitStatus}`]),
        ...(terminationReason === undefined ? [] : [`reason: ${terminationReason}`]),
        ...(error === undefined ? [] : [error]),
      ];
      return `- ${name} is ${status}${details.length === 0 ? '' : ` (${details.join('; ')})`}`;
    });
  const rest = jobs.length - shown.length;
  return [`${plural(jobs.length, 'job')}:`, ...shown, ...(rest === 0 ? [] : [`- and ${rest} more: get with \`full\``])];
}
