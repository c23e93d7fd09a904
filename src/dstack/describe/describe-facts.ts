import { formatDollars, formatDuration, formatPrice, plural, joinWords } from '../../core/values.ts';
import { describeShownJob, hasJobEnded } from '../output/read-state.ts';
import type { WantedJob, RunFacts, ResourceFacts } from '../output/read-state.ts';

/** Describes the status of a run in one sentence. Its termination message is left out: a job can write it. */
export function describeStatus(run: RunFacts): string {
  const { jobs, status, statusMessage, exitStatus, terminationReason } = run;
  // A run's own reason usually only says that a job failed.
  const reason = jobs.find((job) => job.status === 'failed')?.terminationReason ?? terminationReason;
  const details = joinKnown(
    [
      statusMessage === status ? undefined : statusMessage,
      // The progress of a pull stays in the run's record after the pull.
      ...(statusMessage === 'pulling' ? jobs.map((job) => job.imagePullProgress) : []),
      ifKnown(exitStatus, (exit) => `exit status ${exit}`),
      ifKnown(reason, (why) => `reason: ${why}`),
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
const formatTime = (time: string): string => time.replace(/\.\d+(?=Z|[+-]\d|$)/, '');

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

/** Returns the lines that say how a service is called and whether it can answer; none for another run. */
function describeService(run: RunFacts): string[] {
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

/** Returns the next step where nothing is shown of a log. */
export function adviseOnLog(
  run: RunFacts | undefined,
  { since, filter }: { readonly since?: string | undefined; readonly filter?: string | undefined },
): string {
  if (since !== undefined || filter !== undefined)
    return 'Nothing of its log is in this window: omit `since` and `filter` to see the rest.';
  if (run?.isFinished === true)
    return 'It ended without output: `diagnose` shows the log of the runner, and get why it ended.';
  return 'It may not have started, or has not printed anything yet: get with wait_for "running" waits for its start.';
}

/** Describes the status of a fleet, volume or gateway in one sentence. */
export const describeResourceStatus = ({ kind, name, status }: ResourceFacts): string =>
  `${kind.charAt(0).toUpperCase()}${kind.slice(1)} ${name} is ${status}.`;

/** Returns the messages of a resource and its instances, which machines and clouds write, in labeled lines; they are untrusted. */
export function listMessages({ statusMessage, instances = [] }: ResourceFacts): string[] {
  const failed = instances.filter(({ status, error }) => error !== undefined && status !== 'terminated');
  return [
    ...(statusMessage === undefined ? [] : [statusMessage]),
    ...failed.slice(0, MOST_LISTED).map(({ instance, error }) => `instance ${instance}: ${error}`),
  ];
}

/** Returns the lines with what a reader needs to know of a fleet, volume or gateway. */
export function describeResource(resource: ResourceFacts): string[] {
  const { backend, region, createdAt, costUsd, sizeGb, external, attachedTo, domain, hostname, isDefault } = resource;
  return [
    ...labeled({ place: joinKnown([backend, region], ' ') || undefined, created: ifKnown(createdAt, formatTime) }),
    ...describeFleet(resource),
    ...labeled({
      size: ifKnown(sizeGb, (gb) => `${gb}GB${external === true ? ', external (dstack does not delete it)' : ''}`),
      'attached to': ifKnown(attachedTo, (names) => names.join(', ') || 'nothing'),
      domain,
      address: ifKnown(hostname, (host) => `${host} (the DNS record of the domain points to it)`),
      default: ifKnown(isDefault, (is) => (is ? 'yes' : 'no')),
      'cost so far': ifKnown(costUsd, formatDollars),
    }),
  ];
}

function describeFleet({ nodesMin, nodesMax, pricePerHour, instances }: ResourceFacts): string[] {
  if (instances === undefined) return [];
  const present = instances.filter(({ status }) => status !== 'terminated');
  const gone = instances.length - present.length;
  return [
    ...labeled({ nodes: ifKnown(nodesMin, (min) => `${min}..${nodesMax ?? ''}`) }),
    `${plural(present.length, 'instance')}${gone === 0 ? '' : ` (and ${gone} terminated)`}${pricePerHour === undefined ? '' : `, ${formatPrice(pricePerHour)} together`}`,
    ...listFirst(present, ({ error }) => error !== undefined, { describe: describeInstance, more: '`full` shows all' }),
  ];
}

function describeInstance(one: NonNullable<ResourceFacts['instances']>[number]): string {
  const { instance, status, gpu, hardware, pricePerHour, job, error } = one;
  const runs = [ifKnown(gpu, (name) => `gpu=${name}`), hardware, ifKnown(pricePerHour, formatPrice)];
  return `instance ${instance}: ${joinKnown([status, ...runs, ifKnown(job, (name) => `job ${name}`), ifKnown(error, () => 'has an error')], ', ')}`;
}

/** Returns a line for each value that is known: `label: value`. */
const labeled = (values: Readonly<Record<string, string | undefined>>): string[] =>
  Object.entries(values).flatMap(([label, value]) => (value === undefined ? [] : [`${label}: ${value}`]));

/** Formats a value that may be unknown. */
const ifKnown = <T>(value: T | undefined, format: (known: T) => string): string | undefined =>
  value === undefined ? undefined : format(value);

/** Joins the parts that are known and not empty. */
const joinKnown = (parts: readonly (string | undefined)[], separator: string): string =>
  parts.filter((part) => part !== undefined && part !== '').join(separator);

const MOST_LISTED = 20;

/** Lists the first of many, those that have a problem before the others, and counts the rest. */
function listFirst<T>(
  items: readonly T[],
  hasProblem: (item: T) => boolean,
  { describe, more }: { readonly describe: (item: T) => string; readonly more: string },
): string[] {
  const sorted = items.toSorted((a, b) => Number(hasProblem(b)) - Number(hasProblem(a)));
  const rest = Math.max(0, items.length - MOST_LISTED);
  return [...sorted.slice(0, MOST_LISTED).map(describe), ...(rest === 0 ? [] : [`and ${rest} more: ${more}`])].map(
    (line) => `- ${line}`,
  );
}
