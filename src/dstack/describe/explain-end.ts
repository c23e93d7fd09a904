import type { RunFacts } from '../output/read-state.ts';

/** Which log of a job shows why it ended: its own output, the runner's log about starting it, or neither. */
type RelevantLog = 'output' | 'diagnose' | 'none';

/** Why a run ended unexpectedly, and what usually helps. */
export interface EndExplanation {
  /** dstack's own term, such as `container_exited_with_error`. */
  readonly reason: string;
  /** Its meaning, in one sentence. */
  readonly meaning: string;
  /** The usual solution, naming this server's tools. */
  readonly helps: string;
  readonly log: RelevantLog;
  /** The job that represents the run. */
  readonly job?: RunFacts['jobs'][number];
}

/** `log` defaults to `output`. */
type Reason = Pick<EndExplanation, 'meaning' | 'helps'> & Partial<Pick<EndExplanation, 'log'>>;

const MORE_LOGS = 'logs shows more of its output, and with `diagnose` the log of the runner.';

// core/models/runs.py, JobTerminationReason and RunTerminationReason; the same in 0.20.29, 0.21.5 and 0.22.5.
const REASONS: ReadonlyMap<string, Reason> = new Map(
  Object.entries<Reason>({
    failed_to_start_due_to_no_capacity: {
      meaning: 'No capacity was available.',
      helps:
        'Use offer to see what is available, and fleet to see what its fleets allow. Request another GPU, region or backend, allow spot, raise max_price, or add `retry: {on_events: [no-capacity]}` to the file, then plan again.',
      log: 'none',
    },
    interrupted_by_no_capacity: {
      meaning: 'Its spot instance was interrupted.',
      helps:
        'Use `spot_policy: on-demand`, or add `retry: {on_events: [interruption]}` and save checkpoints to a volume, then plan again.',
    },
    instance_unreachable: {
      meaning: "dstack's server lost the connection to its instance.",
      helps:
        'Check the instance with fleet, and its history with event. It may have run out of memory or been shut down. Plan again; if the problem persists, use another instance.',
    },
    instance_access_revoked: {
      meaning: 'Its fleet is no longer shared with its project.',
      helps: 'Use list `imports` and fleet to see what the project can use now.',
      log: 'none',
    },
    waiting_instance_limit_exceeded: {
      meaning: 'Its instance took too long to start.',
      helps: 'Plan again; if the problem persists, choose another backend, region or instance type with offer.',
      log: 'none',
    },
    waiting_runner_limit_exceeded: {
      meaning: "Its instance started, but the container didn't start in time.",
      helps:
        'Usually caused by a large image or a slow registry. Check logs with `diagnose`, use a smaller image or a faster registry, then plan again.',
      log: 'diagnose',
    },
    volume_error: {
      meaning: "A volume couldn't be attached.",
      helps: 'Use list `volumes` and get to check that it is active, in the same backend and region, and not in use.',
      log: 'diagnose',
    },
    gateway_error: {
      meaning: "The gateway couldn't register the service.",
      helps: 'Check with list `gateways` and get that the gateway is running, then plan again.',
      log: 'diagnose',
    },
    ports_binding_failed: {
      meaning: 'A port that it needs is in use on its instance.',
      helps: 'Change `ports` in the file, or use a dedicated instance instead of a shared one, then plan again.',
      log: 'diagnose',
    },
    creating_container_error: {
      meaning: "Its container couldn't be created.",
      helps:
        'Usually caused by the image: check its name and tag, `registry_auth` if it is private, and whether it fits the instance (architecture, CUDA, disk). Then plan again.',
      log: 'diagnose',
    },
    executor_error: {
      meaning: "The runner couldn't start its commands.",
      helps:
        'Often caused by the repository, `working_dir` or a missing shell in the image. Check logs with `diagnose`, fix the file, then plan again.',
      log: 'diagnose',
    },
    container_exited_with_error: {
      meaning: 'Its commands failed.',
      helps: `Fix the error shown in the last log lines, then plan again. ${MORE_LOGS}`,
    },
    log_quota_exceeded: {
      meaning: "It exceeded the server's hourly log quota for a job.",
      helps: 'Print less (no progress bars, fewer debug lines) or write to a file, then plan again.',
    },
    max_duration_exceeded: {
      meaning: 'It exceeded its `max_duration`.',
      helps: 'Raise `max_duration` in the file or shorten the job, save checkpoints, then plan again.',
    },
    inactivity_duration_exceeded: {
      meaning: 'Nobody was attached to it for its `inactivity_duration`.',
      helps: 'Plan again when it is needed, or raise `inactivity_duration`.',
      log: 'none',
    },
    terminated_due_to_utilization_policy: {
      meaning: 'Its GPU utilization was below its `utilization_policy`.',
      helps: 'Find out what kept the GPUs idle (often data loading) or change `utilization_policy`, then plan again.',
    },
    server_error: {
      meaning: "dstack's server had an internal error.",
      helps: "Plan again; if the problem persists, ask the administrator for the cause, which is in the server's log.",
      log: 'diagnose',
    },
  }),
);

/** The usual meaning of exit statuses: https://tldp.org/LDP/abs/html/exitcodes.html, and 128 + the signal. */
const EXIT_STATUSES: Readonly<Record<number, Reason>> = {
  126: {
    meaning: "A command couldn't be executed.",
    helps: `Make the file executable or start it with its interpreter, then plan again. ${MORE_LOGS}`,
  },
  127: {
    meaning: "A command wasn't found.",
    helps: `Install it in \`commands\` before it is used, choose another \`image\`, or fix its name, then plan again. ${MORE_LOGS}`,
  },
  134: {
    meaning: 'A process aborted (SIGABRT).',
    helps: `Often a failed check in a native or CUDA library: see the last log lines. ${MORE_LOGS}`,
  },
  137: {
    meaning: 'A process was killed (SIGKILL), nearly always because it ran out of memory.',
    helps: `Use metrics to see its memory usage. Request more with \`resources: {memory: ...}\` or use less (smaller batches, fewer workers), then plan again. ${MORE_LOGS}`,
  },
  139: {
    meaning: 'A process crashed (SIGSEGV).',
    helps: `Often a native library that is incompatible with the image, driver or GPU: see the last log lines. ${MORE_LOGS}`,
  },
  143: {
    meaning: 'A process was terminated (SIGTERM).',
    helps: `Use event to see who or what stopped it. ${MORE_LOGS}`,
  },
};

const UNKNOWN: Reason = {
  meaning: 'It ended before it was finished.',
  helps: `Use event to see what happened, fix the cause, then plan again. ${MORE_LOGS}`,
};

/** Reasons for an end that was requested or expected. */
const EXPECTED = /^(?:all_jobs_done|done_by_runner|stopped_by_user|terminated_by_user|aborted_by_user|scaled_down)$/;

/** Explains why a run failed or was ended by a rule; undefined while it runs, and if it ended as expected. */
export function explainEnd(run: RunFacts): EndExplanation | undefined {
  if (!run.isFinished || run.status === 'done') return undefined;
  const job = representativeJob(run);
  // A run's own reason usually only says that a job failed.
  const reasons = [job?.terminationReason, run.terminationReason].filter((reason) => reason !== undefined);
  const reason = reasons.find((each) => REASONS.has(each)) ?? reasons[0];
  if (run.status !== 'failed' && (reason === undefined || EXPECTED.test(reason))) return undefined;
  return {
    reason: reason ?? run.status,
    log: 'output',
    ...(REASONS.get(reason ?? '') ?? UNKNOWN),
    ...(reason === 'container_exited_with_error' ? EXIT_STATUSES[job?.exitStatus ?? 0] : undefined),
    ...(job === undefined ? {} : { job }),
  };
}

/** Returns the first job that failed, or else the first that ended unexpectedly. */
function representativeJob({ jobs }: RunFacts): RunFacts['jobs'][number] | undefined {
  return (
    jobs.find(({ status }) => status === 'failed') ??
    jobs.find(({ terminationReason }) => terminationReason !== undefined && !EXPECTED.test(terminationReason)) ??
    jobs[0]
  );
}

const machine = ({ gpu, hardware }: RunFacts): string => [gpu, hardware].filter(Boolean).join(', ') || 'its instance';

/** Well-known messages in the log of a job, and what usually helps; MACHINE is what it ran on. Never repeats the log: it is untrusted. */
const SIGNS: readonly (readonly [sign: RegExp, helps: string])[] = [
  [
    /CUDA out of memory|OutOfMemoryError: CUDA|CUDA error: out of memory|HIP out of memory/i,
    `The GPU's memory was too small: it ran on MACHINE. Ask for more GPU memory in \`resources.gpu\` (offer shows prices), or use a smaller batch or model.`,
  ],
  [/No space left on device/i, `The disk was full: it ran on MACHINE. Ask for more with \`resources.disk\`.`],
  [
    /DataLoader worker .{0,80}bus error|insufficient shared memory|shm_open/i,
    'The shared memory was too small: set `resources.shm_size`, for example 16GB.',
  ],
  [
    /ModuleNotFoundError: |ImportError: /,
    'A Python package is missing: install it in `commands` before it is used, or use an `image` that has it.',
  ],
  [
    /CUDA driver version is insufficient|forward compatibility was attempted|no kernel image is available/i,
    `The image's CUDA doesn't fit the GPU or its driver: it ran on MACHINE. Use another \`image\` or GPU.`,
  ],
  [
    /\b401 Client Error|GatedRepoError|Access to model .{0,200} is restricted|Invalid user token/i,
    'A token is missing or has no access: name its variable in `env` (for example HF_TOKEN).',
  ],
  [
    /can't open file '|No such file or directory/i,
    'A file is missing on the machine: list it in `files`, or name its repository in `repos`, and check `working_dir`.',
  ],
];

/** Returns what usually helps against the last well-known message in a log; undefined if there is none. */
export function explainLog(log: string, run: RunFacts): string | undefined {
  const lines = log.split('\n');
  const found = SIGNS.map(([sign, helps]) => ({ helps, at: lines.findLastIndex((line) => sign.test(line)) }));
  const [last] = found.filter(({ at }) => at >= 0).toSorted((a, b) => b.at - a.at);
  return last?.helps.replace('MACHINE', () => machine(run));
}
