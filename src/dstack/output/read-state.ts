import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { plural } from '../../core/values.ts';
import {
  addPrices,
  describeGpus,
  describeHardware,
  describeRequirements,
  omitAbsent,
  resourceJson,
  runJson,
} from './json-output.ts';
import type { JobJson, JobSubmissionJson, ResourceJson, RunJson } from './json-output.ts';

/** The final statuses of a run (core/models/runs.py, RunStatus.finished_statuses). */
const FINAL_STATUSES: ReadonlySet<string> = new Set(['terminated', 'failed', 'done']);

/** Context that a run's JSON lacks. */
interface RunSurroundings {
  /** The URL of dstack's server. URLs of services without a gateway are relative to it. */
  readonly serverUrl?: string;
  /** The job whose place, end and access are read. Defaults to one that runs. */
  readonly wanted?: WantedJob;
}

/** Describes an image pull with the sizes that `dstack ps` prints: extracted, downloaded and total. */
function describePull(progress: JobSubmissionJson['image_pull_progress']): string | undefined {
  if (progress === null || progress === undefined) return undefined;
  const gb = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);
  const total = `${progress.is_total_bytes_final === false ? '≥' : ''}${gb(progress.total_bytes)}`;
  return `extracted ${gb(progress.extracted_bytes)}, downloaded ${gb(progress.downloaded_bytes)} of ${total} GB`;
}

/** Returns where a job runs. For a part of a shared instance, the runtime data describes that part (cli/utils/run.py, get_runs_table). */
function readPlace(submission: JobSubmissionJson | undefined) {
  const machine = submission?.job_provisioning_data;
  const part = submission?.job_runtime_data?.offer;
  const isShared = (part?.total_blocks ?? 1) > 1;
  const instance = isShared ? part?.instance : machine?.instance_type;
  return omitAbsent({
    backend: machine?.backend,
    region: machine?.region,
    instanceType: instance?.name,
    /** As in `RTX4090:24GB:1`. */
    gpu: describeGpus(instance),
    spot: instance?.resources?.spot,
    /** The CPUs, memory and disk of the instance. */
    hardware: describeHardware(instance),
    pricePerHour: isShared ? part?.price : machine?.price,
  });
}

/** The latest submission of one job of a run. */
type JobFacts = ReturnType<typeof readJob>;

function readJob({ job_spec: spec }: JobJson, submission: JobSubmissionJson) {
  return omitAbsent({
    name: spec.job_name ?? '',
    replica: spec.replica_num ?? 0,
    job: spec.job_num ?? 0,
    status: submission.status,
    /** The deployment of the service that it belongs to. */
    deployment: submission.deployment_num,
    statusMessage: submission.status_message === submission.status ? undefined : submission.status_message,
    terminationReason: submission.termination_reason,
    terminationMessage: submission.termination_reason_message,
    exitStatus: submission.exit_status,
    error: submission.error,
    pricePerHour: readPlace(submission).pricePerHour,
    imagePullProgress: describePull(submission.image_pull_progress),
    /** Whether all its probes pass; absent if it has none, or isn't running. */
    isReady: readReadiness(spec, submission),
  });
}

/** Returns whether all probes of a running job pass, as `dstack ps` shows them. */
function readReadiness(
  { probes: specs }: JobJson['job_spec'],
  { status, probes }: JobSubmissionJson,
): boolean | undefined {
  if (status !== 'running' || (probes ?? []).length === 0) return undefined;
  return probes?.every(({ success_streak: streak }, index) => streak >= (specs?.[index]?.ready_after ?? 1));
}

/** Resolves a URL that may be a path on the server (utils/common.py, make_proxy_url). */
function resolveUrl(url: string | null | undefined, serverUrl: string | undefined): string | undefined {
  if (url === null || url === undefined) return undefined;
  return url.startsWith('/') && serverUrl !== undefined ? `${serverUrl.replace(/\/+$/, '')}${url}` : url;
}

function hasSameOrigin(url: string, serverUrl: string | undefined): boolean {
  if (serverUrl === undefined || !URL.canParse(url) || !URL.canParse(serverUrl)) return false;
  const [service, server] = [new URL(url), new URL(serverUrl)];
  return service.origin === server.origin && /^https?:$/.test(service.protocol) && service.username === server.username;
}

/** Returns the URLs and the SSH command of a run, which are those of one job. */
function readAccess(run: RunJson, job: JobJson | undefined, serverUrl: string | undefined) {
  const connection = job?.job_connection_info;
  const ports = (job?.job_spec.app_specs ?? []).map((app) =>
    omitAbsent({ port: app.port, localPort: app.map_to_port }),
  );
  const serviceUrl = resolveUrl(run.service?.url, serverUrl);
  return omitAbsent({
    serviceUrl,
    /** The service is on the configured server itself, which knows the user's token anyway. */
    isServiceOnServer: serviceUrl === undefined ? undefined : hasSameOrigin(serviceUrl, serverUrl),
    auth: run.run_spec.configuration?.auth,
    model: run.service?.model?.name,
    modelUrl: resolveUrl(run.service?.model?.base_url, serverUrl),
    ideUrl: connection?.proxied_ide_url ?? connection?.attached_ide_url,
    sshCommand: connection?.attached_ssh_command?.join(' '),
    ports: ports.length === 0 ? undefined : ports,
  });
}

/** Returns how a run ended, from the first of these jobs that failed, or else the first that ended. */
function readEnd(run: RunJson, jobs: readonly JobFacts[], submissions: readonly JobSubmissionJson[]) {
  const endedJob = jobs.find((job) => job.status === 'failed') ?? jobs.find(hasJobEnded);
  const ends = submissions.flatMap((submission) => submission.finished_at ?? []).sort();
  return omitAbsent({
    terminationReason: run.termination_reason,
    terminationMessage: endedJob?.terminationMessage,
    exitStatus: endedJob?.exitStatus,
    error: run.error ?? endedJob?.error,
    finishedAt: FINAL_STATUSES.has(run.status) ? ends.at(-1) : undefined,
  });
}

/** A run, as far as it is known. */
export type RunFacts = ReturnType<typeof readRun>;

/**
 * Parses a run printed by `dstack run get --json`.
 * @throws z.ZodError if it isn't a run. ToolError `invalid-value` if it doesn't have the wanted job.
 */
export function readRun(value: unknown, { serverUrl, wanted = {} }: RunSurroundings = {}) {
  const run = runJson.parse(value);
  const submitted = run.jobs.flatMap((job) => {
    const submission = job.job_submissions.at(-1);
    return submission === undefined ? [] : [{ job, submission, facts: readJob(job, submission) }];
  });
  const jobs = submitted.map(({ facts }) => facts);
  const name = run.run_spec.run_name ?? '';
  const shown = chooseJob(name, jobs, wanted);
  const spokesman = submitted.find(({ facts }) => facts === shown);
  const spec = (spokesman?.job ?? run.jobs[0])?.job_spec;
  const { pricePerHour: _one, ...place } = readPlace(spokesman?.submission);
  const inactivity = run.run_spec.configuration?.inactivity_duration;
  const isWanted = wanted.replica !== undefined || wanted.job !== undefined;
  return {
    name,
    id: run.id,
    status: run.status,
    isFinished: FINAL_STATUSES.has(run.status),
    ...omitAbsent({
      project: run.project_name,
      user: run.user,
      kind: run.run_spec.configuration?.type,
      statusMessage: run.status_message === run.status ? undefined : run.status_message,
      submittedAt: run.submitted_at,
      nextStartAt: run.next_triggered_at,
      costUsd: run.cost,
      /** The jobs that occupy an instance now. */
      pricePerHour: addPrices(jobs.filter((job) => !hasJobEnded(job)).map((job) => job.pricePerHour)),
      /** The hardware that the job asked for. */
      requested: describeRequirements(spec?.requirements),
      maxDurationSeconds: spec?.max_duration,
      inactivitySeconds: typeof inactivity === 'number' ? inactivity : undefined,
      fleet: run.fleet?.name,
      deployment: run.deployment_num,
      configurationPath: run.run_spec.configuration_path,
      /** The job whose place, access and log are shown. */
      shown: shown === undefined ? undefined : { replica: shown.replica, job: shown.job },
    }),
    ...readEnd(
      run,
      isWanted && shown !== undefined ? [shown] : jobs,
      submitted.map(({ submission }) => submission),
    ),
    ...place,
    ...readAccess(run, spokesman?.job ?? run.jobs[0], serverUrl),
    jobs,
  };
}

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

export const resourceFacts = z.object({
  kind: z.enum(['fleet', 'volume', 'gateway']),
  name: z.string(),
  id: z.string(),
  project: z.string().optional(),
  status: z.string(),
  statusMessage: z.string().optional(),
  createdAt: z.string().optional(),
  backend: z.string().optional(),
  region: z.string().optional(),
  costUsd: z.number().optional(),
  pricePerHour: z.number().optional().describe('All its instances together'),
  /** Fleets only. */
  nodesMin: z.number().optional(),
  nodesMax: z.number().optional(),
  instances: z
    .array(
      z.object({
        instance: z.number(),
        status: z.string(),
        gpu: z.string().optional(),
        hardware: z.string().optional(),
        pricePerHour: z.number().optional(),
        job: z.string().optional(),
        error: z.string().optional(),
      }),
    )
    .optional(),
  /** Volumes only. */
  sizeGb: z.number().optional(),
  external: z.boolean().optional(),
  attachedTo: z.array(z.string()).optional(),
  /** Gateways only. */
  hostname: z.string().optional(),
  domain: z.string().optional(),
  isDefault: z.boolean().optional(),
});

export type ResourceFacts = z.output<typeof resourceFacts>;

const readInstance = (instance: ResourceJson['instances'][number]) =>
  omitAbsent({
    instance: instance.instance_num ?? 0,
    status: instance.unreachable === true ? `${instance.status} (unreachable)` : instance.status,
    gpu: describeGpus(instance.instance_type),
    hardware: describeHardware(instance.instance_type),
    pricePerHour: instance.price,
    job: instance.job_name,
    error: instance.termination_reason_message ?? instance.termination_reason,
  });

/**
 * Parses what `dstack fleet get --json` prints, or the same for a volume or a gateway.
 * @throws z.ZodError if it isn't such a resource.
 */
export function readResource(kind: ResourceFacts['kind'], value: unknown): ResourceFacts {
  const { configuration: own, spec, instances, ...resource } = resourceJson.parse(value);
  const { nodes, ssh_config: ssh } = spec?.configuration ?? {};
  const present = instances.filter(({ status }) => status !== 'terminated');
  const attachedTo = (resource.attachments ?? []).flatMap(({ instance: { fleet_name: fleet, instance_num: number } }) =>
    fleet === undefined ? [] : [`${fleet}-${number ?? 0}`],
  );
  return omitAbsent({
    kind,
    name: resource.name,
    id: resource.id,
    project: resource.project_name,
    status: resource.status,
    statusMessage: resource.status_message,
    createdAt: resource.created_at,
    backend: ssh === null || ssh === undefined ? own?.backend : 'ssh',
    region: own?.region,
    costUsd: resource.cost,
    pricePerHour: addPrices(present.map(({ price }) => price)),
    nodesMin: nodes?.min,
    nodesMax: nodes?.max,
    instances: kind === 'fleet' ? instances.map(readInstance) : undefined,
    sizeGb: own?.size,
    external: resource.external,
    attachedTo: kind === 'volume' ? attachedTo : undefined,
    // Without a load balancer, the domain has to point at the only replica (core/models/gateways.py).
    hostname: resource.hostname ?? resource.replicas?.[0]?.hostname ?? resource.ip_address,
    domain: resource.wildcard_domain,
    isDefault: resource.default,
  });
}
