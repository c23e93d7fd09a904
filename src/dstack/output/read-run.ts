import * as z from 'zod';
import { chooseJob, hasJobEnded } from './choose-job.ts';
import type { WantedJob } from './choose-job.ts';
import { describeGpus, describeHardware, describeRequirements } from './describe-requirements.ts';
import { omitAbsent } from './read-json-output.ts';
import { runJson } from './run-json.ts';
import type { JobJson, JobSubmissionJson, RunJson } from './run-json.ts';

/** The final statuses of a run (core/models/runs.py, RunStatus.finished_statuses). */
const FINAL_STATUSES: ReadonlySet<string> = new Set(['terminated', 'failed', 'done']);

/** The latest submission of one job of a run. */
const jobFacts = z.object({
  name: z.string(),
  replica: z.number(),
  job: z.number(),
  status: z.string(),
  /** The deployment of the service that it belongs to. */
  deployment: z.number().optional(),
  statusMessage: z.string().optional(),
  terminationReason: z.string().optional(),
  terminationMessage: z.string().optional(),
  exitStatus: z.number().optional(),
  error: z.string().optional(),
  pricePerHour: z.number().optional(),
  imagePullProgress: z.string().optional(),
  /** Whether all its probes pass; absent if it has none, or isn't running. */
  isReady: z.boolean().optional(),
});

export const runFacts = z.object({
  name: z.string(),
  id: z.string(),
  project: z.string().optional(),
  user: z.string().optional(),
  kind: z.string().optional(),
  status: z.string(),
  isFinished: z.boolean(),
  statusMessage: z.string().optional(),
  terminationReason: z.string().optional(),
  terminationMessage: z.string().optional(),
  exitStatus: z.number().optional(),
  error: z.string().optional(),
  submittedAt: z.string().optional(),
  finishedAt: z.string().optional(),
  nextStartAt: z.string().optional(),
  costUsd: z.number().optional(),
  pricePerHour: z.number().optional(),
  fleet: z.string().optional(),
  backend: z.string().optional(),
  region: z.string().optional(),
  instanceType: z.string().optional(),
  gpu: z.string().optional(),
  spot: z.boolean().optional(),
  /** The CPUs, memory and disk of the instance. */
  hardware: z.string().optional(),
  /** The hardware that the first job asked for. */
  requested: z.string().optional(),
  /** Whether an instance of it has a price, so that it costs something. */
  isPaid: z.boolean().optional(),
  maxDurationSeconds: z.number().optional(),
  inactivitySeconds: z.number().optional(),
  deployment: z.number().optional(),
  configurationPath: z.string().optional(),
  serviceUrl: z.string().optional(),
  /** The service is on the configured server itself, which knows the user's token anyway. */
  isServiceOnServer: z.boolean().optional(),
  auth: z.boolean().optional(),
  model: z.string().optional(),
  modelUrl: z.string().optional(),
  ideUrl: z.string().optional(),
  sshCommand: z.string().optional(),
  ports: z.array(z.object({ port: z.number(), localPort: z.number().optional() })).optional(),
  /** The job whose place, access and log are shown. */
  shown: z.object({ replica: z.number(), job: z.number() }).optional(),
  jobs: z.array(jobFacts),
});

type JobFacts = z.output<typeof jobFacts>;
export type RunFacts = z.output<typeof runFacts>;

/** Context that a run's JSON lacks. */
export interface RunSurroundings {
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

interface Place {
  readonly backend?: string;
  readonly region?: string;
  readonly instanceType?: string;
  readonly gpu?: string;
  readonly spot?: boolean;
  readonly hardware?: string;
  readonly pricePerHour?: number;
}

/** Returns where a job runs. For a part of a shared instance, the runtime data describes that part (cli/utils/run.py, get_runs_table). */
function readPlace(submission: JobSubmissionJson | undefined): Place {
  const machine = submission?.job_provisioning_data;
  if (machine === null || machine === undefined) return {};
  const part = submission?.job_runtime_data?.offer;
  const isShared = (part?.total_blocks ?? 1) > 1;
  const instance = isShared ? part?.instance : machine.instance_type;
  return omitAbsent({
    backend: machine.backend,
    region: machine.region,
    instanceType: instance?.name,
    gpu: describeGpus(instance),
    spot: instance?.resources?.spot,
    hardware: describeHardware(instance),
    pricePerHour: isShared ? part?.price : machine.price,
  });
}

function readJob({ job_spec: spec }: JobJson, submission: JobSubmissionJson): JobFacts {
  return omitAbsent({
    name: spec.job_name ?? '',
    replica: spec.replica_num ?? 0,
    job: spec.job_num ?? 0,
    status: submission.status,
    deployment: submission.deployment_num,
    statusMessage: submission.status_message === submission.status ? undefined : submission.status_message,
    terminationReason: submission.termination_reason,
    terminationMessage: submission.termination_reason_message,
    exitStatus: submission.exit_status,
    error: submission.error,
    pricePerHour: readPlace(submission).pricePerHour,
    imagePullProgress: describePull(submission.image_pull_progress),
    isReady: readReadiness(spec, submission),
  });
}

/** Returns whether all probes of a running job pass, as `dstack ps` shows them; undefined if it has none. */
function readReadiness(
  { probes: specs }: JobJson['job_spec'],
  { status, probes }: JobSubmissionJson,
): boolean | undefined {
  if (status !== 'running' || (probes ?? []).length === 0) return undefined;
  return probes?.every(({ success_streak: streak }, index) => streak >= (specs?.[index]?.ready_after ?? 1));
}

/** Returns the total price of the jobs that occupy an instance now; undefined if there are none. */
function addPrices(jobs: readonly JobFacts[]): number | undefined {
  const prices = jobs.filter((job) => !hasJobEnded(job)).flatMap((job) => job.pricePerHour ?? []);
  return prices.length === 0 ? undefined : Number(prices.reduce((sum, price) => sum + price, 0).toFixed(6));
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

function readPorts(job: JobJson | undefined): RunFacts['ports'] {
  const ports = (job?.job_spec.app_specs ?? []).map((app) =>
    omitAbsent({ port: app.port, localPort: app.map_to_port }),
  );
  return ports.length === 0 ? undefined : ports;
}

/** Returns the URLs and the SSH command of a run, which are those of one job. */
function readAccess(run: RunJson, job: JobJson | undefined, serverUrl: string | undefined): Partial<RunFacts> {
  const connection = job?.job_connection_info;
  const serviceUrl = resolveUrl(run.service?.url, serverUrl);
  return omitAbsent({
    serviceUrl,
    isServiceOnServer: serviceUrl === undefined ? undefined : hasSameOrigin(serviceUrl, serverUrl),
    auth: run.run_spec.configuration?.auth,
    model: run.service?.model?.name,
    modelUrl: resolveUrl(run.service?.model?.base_url, serverUrl),
    ideUrl: connection?.proxied_ide_url ?? connection?.attached_ide_url,
    sshCommand: connection?.attached_ssh_command?.join(' '),
    ports: readPorts(job),
  });
}

/** Returns how a run ended, from the first of these jobs that failed, or else the first that ended. */
function readEnd(
  run: RunJson,
  jobs: readonly JobFacts[],
  submissions: readonly JobSubmissionJson[],
): Partial<RunFacts> {
  const isFinished = FINAL_STATUSES.has(run.status);
  const endedJob = jobs.find((job) => job.status === 'failed') ?? jobs.find(hasJobEnded);
  const ends = submissions.flatMap((submission) => submission.finished_at ?? []).sort();
  return omitAbsent({
    terminationReason: run.termination_reason,
    terminationMessage: endedJob?.terminationMessage,
    exitStatus: endedJob?.exitStatus,
    error: run.error ?? endedJob?.error,
    finishedAt: isFinished ? ends.at(-1) : undefined,
  });
}

const describeRequested = (spec: JobJson['job_spec'] | undefined): string | undefined =>
  spec?.requirements === null || spec?.requirements === undefined ? undefined : describeRequirements(spec.requirements);

function toFacts(run: RunJson, { serverUrl, wanted = {} }: RunSurroundings): RunFacts {
  const latest = run.jobs.flatMap((job) => job.job_submissions.at(-1) ?? []);
  const jobs = run.jobs.flatMap((job) => {
    const submission = job.job_submissions.at(-1);
    return submission === undefined ? [] : [readJob(job, submission)];
  });
  const name = run.run_spec.run_name ?? '';
  const shown = chooseJob(name, jobs, wanted);
  const isShown = ({ job_spec: { replica_num: replica, job_num: job } }: JobJson): boolean =>
    (replica ?? 0) === shown?.replica && (job ?? 0) === shown.job;
  const spokesman = run.jobs.find(isShown) ?? run.jobs[0];
  const { pricePerHour: _one, ...place } = readPlace(spokesman?.job_submissions.at(-1));
  const spec = spokesman?.job_spec;
  const inactivity = run.run_spec.configuration?.inactivity_duration;
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
      pricePerHour: addPrices(jobs),
      isPaid: jobs.some((job) => (job.pricePerHour ?? 0) > 0) || undefined,
      requested: describeRequested(spec),
      maxDurationSeconds: spec?.max_duration,
      inactivitySeconds: typeof inactivity === 'number' ? inactivity : undefined,
      fleet: run.fleet?.name,
      deployment: run.deployment_num,
      configurationPath: run.run_spec.configuration_path,
    }),
    ...readEnd(run, isWanted(wanted) && shown !== undefined ? [shown] : jobs, latest),
    ...place,
    ...readAccess(run, spokesman, serverUrl),
    ...(shown === undefined ? {} : { shown: { replica: shown.replica, job: shown.job } }),
    jobs,
  };
}

const isWanted = ({ replica, job }: WantedJob): boolean => replica !== undefined || job !== undefined;

/**
 * Parses a run printed by `dstack run get --json`.
 * @throws z.ZodError if it isn't a run. ToolError `invalid-value` if it doesn't have the wanted job.
 */
export function readRun(value: unknown, surroundings: RunSurroundings = {}): RunFacts {
  return toFacts(runJson.parse(value), surroundings);
}
