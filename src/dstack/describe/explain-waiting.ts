import type { RunFacts } from '../output/read-run.ts';
import { isAsleep, isScaledToZero } from './describe-service.ts';

/** Explains what a run waits for before it starts; undefined if it doesn't wait, or if dstack doesn't say for what. */
export function explainWaiting(run: RunFacts): string | undefined {
  const { name, status, statusMessage, nextStartAt, kind, jobs } = run;
  if (isAsleep(run))
    return `${name} has no replicas, and no request starts one here: plan its configuration with \`replicas: 1\` or more.`;
  if (isScaledToZero(run)) return `${name} has no replicas: it waits for requests.`;
  if (status === 'submitted' && statusMessage === undefined) return `dstack is looking for an instance for ${name}.`;
  if (status !== 'pending' && status !== 'submitted') return undefined;
  if (nextStartAt !== undefined) return `${name} waits for its schedule: dstack starts it at ${nextStartAt}.`;
  const reasons = new Set(jobs.map(({ terminationReason }) => terminationReason));
  if (statusMessage === 'retrying' || reasons.has('failed_to_start_due_to_no_capacity'))
    return `${name} waits for capacity: dstack tries again until the duration of its \`retry\` is over. offer shows what is available now, and stop ends the wait.`;
  if (kind === 'service' && reasons.has('scaled_down')) return `${name} has no replicas: it waits for requests.`;
  const reason = [...reasons].find((each) => each !== undefined);
  return reason === undefined ? undefined : `${name} waits to be retried after ${reason}.`;
}
