import type { RunFacts } from './read-run.ts';

/** Which of a job's two logs tells why it ended, if any does: its own output, or the runner's about starting it. */
export type TellingLog = 'output' | 'diagnose' | 'none';

/** Why a run ended otherwise than it was meant to, and what usually helps. */
export interface EndExplanation {
  /** dstack's word for it, as `container_exited_with_error`. */
  readonly reason: string;
  /** What that means, in a sentence. */
  readonly meaning: string;
  /** What usually helps, in the names of this server's tools. */
  readonly helps: string;
  readonly log: TellingLog;
  /** The job that speaks for the run. */
  readonly job?: RunFacts['jobs'][number];
}

type Reason = Pick<EndExplanation, 'meaning' | 'helps' | 'log'>;

const MORE_LOGS = 'logs shows more of what it printed, and with `diagnose` what the runner noted.';

// core/models/runs.py, JobTerminationReason and RunTerminationReason; the same in 0.20.29, 0.21.5 and 0.22.5.
const REASONS: ReadonlyMap<string, Reason> = new Map(
  Object.entries<Reason>({
    failed_to_start_due_to_no_capacity: {
      meaning: 'No machine could be had for it.',
      helps:
        'See with offer what can be had, and with fleet what its fleets allow. Ask for another GPU, region or backend, allow spot, raise max_price, or add `retry: {on_events: [no-capacity]}` to the file; then plan again.',
      log: 'none',
    },
    interrupted_by_no_capacity: {
      meaning: 'Its machine was taken away, as happens to spot machines.',
      helps:
        'Use `spot_policy: on-demand`, or add `retry: {on_events: [interruption]}` and save checkpoints to a volume; then plan again.',
      log: 'output',
    },
    instance_unreachable: {
      meaning: "dstack's server lost the connection to its machine.",
      helps:
        'Look at the machine with fleet and at what happened with event. It may have run out of memory or been shut down; plan again, on another machine if it stays.',
      log: 'output',
    },
    instance_access_revoked: {
      meaning: 'The fleet that it ran on is no longer shared with its project.',
      helps: 'See with list `imports` and with fleet what the project may use now.',
      log: 'none',
    },
    waiting_instance_limit_exceeded: {
      meaning: 'Its machine took too long to start.',
      helps: 'Plan again; choose another backend, region or instance type with offer if it stays.',
      log: 'none',
    },
    waiting_runner_limit_exceeded: {
      meaning: "Its machine started, but the container didn't in time.",
      helps:
        'A large image or a slow registry is the usual cause: use a smaller image or a faster region, and look at logs with `diagnose`. Then plan again.',
      log: 'diagnose',
    },
    volume_error: {
      meaning: "A volume couldn't be attached.",
      helps: 'See with list `volumes` and get whether it is active, in the same backend and region, and not in use.',
      log: 'diagnose',
    },
    gateway_error: {
      meaning: "The gateway couldn't take the service.",
      helps: 'Look at the gateway with list `gateways` and get: it must be running. Then plan again.',
      log: 'diagnose',
    },
    ports_binding_failed: {
      meaning: 'A port that it wants is taken on its machine.',
      helps: 'Change `ports` in the file, or use a machine of its own instead of a shared one; then plan again.',
      log: 'diagnose',
    },
    creating_container_error: {
      meaning: "Its container couldn't be made.",
      helps:
        'Usually the image: check its name and tag, `registry_auth` for a private one, and that it fits the machine (architecture, CUDA, disk). Then plan again.',
      log: 'diagnose',
    },
    executor_error: {
      meaning: "The runner couldn't start its commands.",
      helps:
        'Often the repository, `working_dir` or a missing shell in the image: read logs with `diagnose`, mend the file, plan again.',
      log: 'diagnose',
    },
    container_exited_with_error: {
      meaning: 'Its commands ended with an error.',
      helps: `Mend what the last lines name, then plan again. ${MORE_LOGS}`,
      log: 'output',
    },
    log_quota_exceeded: {
      meaning: 'It printed more than the server lets a job print in an hour.',
      helps: 'Print less (no progress bars, fewer debug lines), or write to a file; then plan again.',
      log: 'output',
    },
    max_duration_exceeded: {
      meaning: 'It ran for longer than its `max_duration`.',
      helps: 'Raise `max_duration` in the file or make it shorter, save checkpoints, then plan again.',
      log: 'output',
    },
    inactivity_duration_exceeded: {
      meaning: 'Nobody was attached to it for its `inactivity_duration`.',
      helps: 'Plan it again when it is needed, or raise `inactivity_duration`.',
      log: 'none',
    },
    terminated_due_to_utilization_policy: {
      meaning: 'Its GPUs were used less than its `utilization_policy` demands.',
      helps: 'Find out what kept them idle (often loading data), or change `utilization_policy`; then plan again.',
      log: 'output',
    },
    server_error: {
      meaning: "dstack's server hit an error of its own.",
      helps: "Plan again; if it stays, the reason is in the server's log, which its administrator can read.",
      log: 'diagnose',
    },
  }),
);

/** What exit statuses of programs usually mean: https://tldp.org/LDP/abs/html/exitcodes.html, and 128 + the signal. */
const EXIT_STATUSES: Readonly<Record<number, Pick<Reason, 'meaning' | 'helps'>>> = {
  126: {
    meaning: "A command couldn't be executed.",
    helps: `Make the file executable, or start it through its interpreter; then plan again. ${MORE_LOGS}`,
  },
  127: {
    meaning: "A command wasn't found.",
    helps: `Install it in \`commands\` before its use, take another \`image\`, or mend its name; then plan again. ${MORE_LOGS}`,
  },
  134: {
    meaning: 'A program broke itself off (SIGABRT).',
    helps: `Often a failed check in a native or CUDA library: see the last lines. ${MORE_LOGS}`,
  },
  137: {
    meaning: 'A program was killed (SIGKILL), nearly always for lack of memory.',
    helps: `See with metrics how much memory it used; ask for more with \`resources: {memory: ...}\`, or use less (smaller batches, fewer workers). Then plan again. ${MORE_LOGS}`,
  },
  139: {
    meaning: 'A program crashed (SIGSEGV).',
    helps: `Often a native library that doesn't fit the image, driver or GPU: see the last lines. ${MORE_LOGS}`,
  },
  143: {
    meaning: 'A program was asked to end (SIGTERM).',
    helps: `See with event who or what stopped it. ${MORE_LOGS}`,
  },
};

const UNKNOWN: Reason = {
  meaning: 'It ended before it was done.',
  helps: `See with event what happened, mend it, then plan again. ${MORE_LOGS}`,
  log: 'output',
};

/** Ends that were asked for, or that are the end of what was to be done. */
const ORDERLY: ReadonlySet<string> = new Set([
  'all_jobs_done',
  'done_by_runner',
  'stopped_by_user',
  'terminated_by_user',
  'aborted_by_user',
  'scaled_down',
]);

/** Explains the end of a run that failed or was ended by a rule; undefined while it goes on, and for one that ended as it was meant to. */
export function explainEnd(run: RunFacts): EndExplanation | undefined {
  if (!run.isFinished || run.status === 'done') return undefined;
  const job = representativeJob(run);
  // A run's own reason mostly says no more than that a job failed.
  const reasons = [job?.terminationReason, run.terminationReason].filter((reason) => reason !== undefined);
  const reason = reasons.find((each) => REASONS.has(each)) ?? reasons[0];
  if (run.status !== 'failed' && (reason === undefined || ORDERLY.has(reason))) return undefined;
  return {
    reason: reason ?? run.status,
    ...(REASONS.get(reason ?? '') ?? UNKNOWN),
    ...(reason === 'container_exited_with_error' ? EXIT_STATUSES[job?.exitStatus ?? 0] : undefined),
    ...(job === undefined ? {} : { job }),
  };
}

/** The first job that failed; where none did, the first that was ended by something else than order. */
function representativeJob({ jobs }: RunFacts): RunFacts['jobs'][number] | undefined {
  return (
    jobs.find(({ status }) => status === 'failed') ??
    jobs.find(({ terminationReason }) => terminationReason !== undefined && !ORDERLY.has(terminationReason)) ??
    jobs[0]
  );
}
