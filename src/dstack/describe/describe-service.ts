import { joinWords, plural } from '../../core/format-values.ts';
import { hasJobEnded } from '../output/choose-job.ts';
import type { RunFacts } from '../output/read-run.ts';

/** Returns the lines that say how a service is called and whether it can answer; none for another run. */
export function describeService(run: RunFacts): string[] {
  const { serviceUrl, isFinished } = run;
  if (serviceUrl === undefined || isFinished) return [];
  return [
    describeReadiness(run),
    `URL: ${run.modelUrl ?? serviceUrl}`,
    `call it: ${callOf(run, serviceUrl)}`,
    describeAuth(run),
  ];
}

/** Returns whether the service can answer: its probes pass in a replica, or it has none and a replica runs. */
export function isReady({ jobs }: Pick<RunFacts, 'jobs'>): boolean {
  return jobs.some((job) => job.status === 'running' && job.isReady !== false);
}

/**
 * Whether dstack keeps no replica of a service. A run is submitted with its jobs, so one without any is to have none, as it is in a moment
 * when it is pending.
 */
export const isScaledToZero = ({ status, kind, jobs, nextStartAt }: RunFacts): boolean =>
  kind === 'service' &&
  nextStartAt === undefined &&
  (jobs.length === 0
    ? status === 'pending' || status === 'submitted'
    : status === 'pending' && jobs.every(({ terminationReason }) => terminationReason === 'scaled_down'));

/** Whether a service has no replica, and no request starts one: only a gateway counts requests. */
export const isAsleep = (run: RunFacts): boolean => isScaledToZero(run) && run.isServiceOnServer === true;

function describeReadiness(run: RunFacts): string {
  const { jobs } = run;
  const present = jobs.filter((job) => !hasJobEnded(job));
  const ready = present.filter(({ status, isReady: passes }) => status === 'running' && passes !== false);
  const hasProbes = present.some(({ isReady: passes }) => passes !== undefined);
  const replicas = `${ready.length} of ${plural(present.length, 'replica')}`;
  if (!isReady(run)) return `ready: not yet (${replicas}${hasProbes ? '; its probes do not pass yet' : ''})`;
  return `ready: yes (${replicas}${hasProbes ? '; probes pass' : '; it has no probes, so only the start of its container is known'})`;
}

/** Returns a command that calls the service. It has the token only as a variable, and only if the service is on the configured server. */
function callOf({ modelUrl, model, auth, isServiceOnServer }: RunFacts, serviceUrl: string): string {
  const sendsToken = auth !== false && isServiceOnServer === true;
  // Double quotes: the shell has to expand the variable.
  const token = sendsToken ? ' -H "Authorization: Bearer $DSTACK_TOKEN"' : '';
  if (model === undefined) return `${joinWords(['curl', serviceUrl])}${token}`;
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] });
  const url = `${(modelUrl ?? `${serviceUrl.replace(/\/$/, '')}/v1`).replace(/\/$/, '')}/chat/completions`;
  return `${joinWords(['curl', url, '-H', 'Content-Type: application/json', '-d', body])}${token}`;
}

function describeAuth({ auth, isServiceOnServer, project = 'main' }: RunFacts): string {
  if (auth === false) return 'auth: off, open to everyone who can reach it';
  // A token goes only to the server that the user configured, never to an address that the server chose.
  if (isServiceOnServer !== true)
    return "auth: on. It isn't on the configured server: only the user can decide whether this address gets their token (list of gateways shows their domains)";
  return `auth: on. DSTACK_TOKEN is the user's own token of project ${project}, in ~/.dstack/config.yml: the user sets it in their terminal`;
}
