import { formatDollars, formatDuration, formatPrice, plural } from '../../core/format-values.ts';
import { ifKnown, joinKnown, labeled, listFirst } from './lines.ts';
import { describeService } from './describe-service.ts';
import type { RunFacts } from '../output/read-run.ts';

/** Describes the status of a run in one sentence. */
export function describeStatus(run: RunFacts): string {
  const { jobs, status, statusMessage, exitStatus, terminationReason, terminationMessage } = run;
  // A run's own reason usually only says that a job failed.
  const reason = jobs.find((job) => job.status === 'failed')?.terminationReason ?? terminationReason;
  const details = joinKnown(
    [
      statusMessage === status ? undefined : statusMessage,
      // The progress of a pull stays in the run's record after the pull.
      ...(statusMessage === 'pulling' ? jobs.map((job) => job.imagePullProgress) : []),
      ifKnown(exitStatus, (exit) => `exit status ${exit}`),
      ifKnown(reason, (why) => `reason: ${why}`),
      terminationMessage,
    ],
    '; ',
  );
  return `Run ${run.name} is ${status}${details === '' ? '' : ` (${details})`}.`;
}

/** Returns the lines with what a reader needs to know of a run: what it asked for, what it got, its cost, its jobs, how to reach it. */
export function describeRun(run: RunFacts): string[] {
  const { kind = 'run', configurationPath, requested, user } = run;
  const file = configurationPath === undefined ? '' : ` from ${configurationPath}`;
  return [
    `${kind}${file}${user === undefined ? '' : `, submitted by ${user}`}${describeTimes(run)}`,
    ...labeled({ 'asked for': requested }),
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
  const [price, ...others] = new Set(jobs.flatMap(({ pricePerHour }) => pricePerHour ?? []));
  const each = jobs.length > 1 ? ' each' : '';
  const parts = [
    joinKnown([instanceType, ifKnown(gpu, (name) => `gpu=${name}`), hardware], ' '),
    `${backend === 'remote' ? 'ssh' : joinKnown([backend, region], ' ')}${spot === true ? ', spot' : ''}`,
    ifKnown(fleet, (name) => `fleet ${name}`),
    others.length > 0 ? undefined : ifKnown(price, (known) => `${formatPrice(known)}${each}`),
  ];
  return [`${isFinished ? 'ran' : 'runs'} on: ${joinKnown(parts, '; ')}`];
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

/** Describes each job, if there are several; those that failed first. */
function describeJobs({ jobs }: RunFacts): string[] {
  if (jobs.length < 2) return [];
  const hasFailed = ({ status }: RunFacts['jobs'][number]): boolean => status === 'failed';
  return [
    `${plural(jobs.length, 'job')}:`,
    ...listFirst(jobs, hasFailed, { describe: describeJob, more: 'get with `full`' }),
  ];
}

function describeJob({ name, status, statusMessage, exitStatus, terminationReason, error }: RunFacts['jobs'][number]) {
  const exit = ifKnown(exitStatus, (code) => `exit status ${code}`);
  const details = joinKnown([statusMessage, exit, ifKnown(terminationReason, (why) => `reason: ${why}`), error], '; ');
  return `${name} is ${status}${details === '' ? '' : ` (${details})`}`;
}
