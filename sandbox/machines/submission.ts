import { z } from 'zod';
import type { JobScriptInput } from './write-job-script.ts';
import { splitStatements } from './shell-text.ts';

const portSchema = z.looseObject({ container_port: z.number() });

const configurationSchema = z.looseObject({
  type: z.enum(['task', 'service', 'dev-environment']),
  commands: z.array(z.string()).default([]),
  init: z.array(z.string()).default([]),
  port: portSchema.nullish(),
  ports: z.array(portSchema).default([]),
  model: z.looseObject({ name: z.string() }).nullish(),
});

const submissionSchema = z.looseObject({
  run: z.looseObject({
    id: z.string().default(''),
    run_spec: z.looseObject({ run_name: z.string(), configuration: configurationSchema }),
  }),
  job_spec: z.looseObject({
    replica_num: z.number(),
    job_num: z.number(),
    jobs_per_replica: z.number(),
    commands: z.array(z.string()),
    env: z.record(z.string(), z.string()),
    max_duration: z.number().nullish(),
    working_dir: z.string().nullish(),
    ssh_key: z.looseObject({ public: z.string() }).nullish(),
  }),
  cluster_info: z
    .looseObject({ job_ips: z.array(z.string()), master_job_ip: z.string(), gpus_per_job: z.number() })
    .nullish(),
});

/** The parts of a job submission that the sandbox uses. */
export type Submission = z.output<typeof submissionSchema>;

/** Parses the body of a submit request. Throws if it is invalid. */
export function parseSubmission(body: string): Submission {
  return submissionSchema.parse(JSON.parse(body));
}

/** The image's folder for commands. */
const IMAGE_FOLDER = '/workflow';

/** Returns the folder in which a job's commands run. */
export function findWorkingFolder(submission: Submission | undefined): string {
  return submission?.job_spec.working_dir ?? IMAGE_FOLDER;
}

/** Returns the input for a job's script. */
export function describeJob(submission: Submission): JobScriptInput {
  const { run, job_spec: job, cluster_info: cluster } = submission;
  const { run_name: runName, configuration } = run.run_spec;
  const isDevEnvironment = configuration.type === 'dev-environment';
  return {
    type: configuration.type,
    commands: isDevEnvironment ? [...configuration.init, ...findReadme(job.commands)] : configuration.commands,
    variables: {
      HOME: '/root',
      DSTACK_RUN_ID: run.id,
      DSTACK_RUN_NAME: runName,
      DSTACK_WORKING_DIR: findWorkingFolder(submission),
      DSTACK_REPLICA_NUM: String(job.replica_num),
      DSTACK_JOB_NUM: String(job.job_num),
      DSTACK_NODE_RANK: String(job.job_num),
      DSTACK_NODES_NUM: String(job.jobs_per_replica),
      DSTACK_GPUS_PER_NODE: String(cluster?.gpus_per_job ?? 0),
      DSTACK_GPUS_NUM: String((cluster?.gpus_per_job ?? 0) * job.jobs_per_replica),
      DSTACK_MASTER_NODE_IP: cluster?.master_job_ip ?? '',
      DSTACK_NODES_IPS: (cluster?.job_ips ?? []).join('\n'),
      ...job.env,
    },
    opensPorts: configuration.ports.length > 0,
    node: { rank: job.job_num, count: job.jobs_per_replica },
  };
}

// The server appends the instructions for opening a dev environment to the job's command, as echo commands.
function findReadme(jobCommands: readonly string[]): string[] {
  const statements = splitStatements(jobCommands.at(-1) ?? '').map(({ text }) => text);
  const start = statements.findIndex((text) => /^echo ['"]To (?:open in|connect)/.test(text));
  return start === -1 ? [] : ['echo', ...statements.slice(start)];
}
