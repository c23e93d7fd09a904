import * as z from 'zod';

// The parts of `dstack run get --json` that are read (core/models/runs.py in 0.22.5; the same fields in 0.20.29). Other fields are
// ignored, and fields that a version may lack are optional.

// dstack uses both null and '' for a missing text.
export const text = z
  .string()
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value));
export const amount = z.number().nullish();

/** An object that may be missing. */
export const maybe = <Shape extends z.ZodRawShape>(shape: Shape) => z.looseObject(shape).nullish();

const range = maybe({ min: amount, max: amount });

/** The hardware that a job asks for (core/models/resources.py, ResourcesSpec). */
const requirements = z.looseObject({
  resources: z.looseObject({
    cpu: maybe({ arch: text, count: range }),
    memory: range,
    disk: maybe({ size: range }),
    gpu: maybe({ name: z.array(z.string()).nullish(), count: range, memory: range, total_memory: range }),
  }),
  max_price: amount,
  spot: z.boolean().nullish(),
});

export const instanceTypeJson = z.looseObject({
  name: text,
  resources: maybe({
    cpus: amount,
    memory_mib: amount,
    disk: maybe({ size_mib: amount }),
    gpus: z.array(z.looseObject({ name: z.string(), memory_mib: amount })).nullish(),
    spot: z.boolean().nullish(),
  }),
});

const jobSubmission = z.looseObject({
  deployment_num: amount,
  submitted_at: text,
  finished_at: text,
  status: z.string(),
  status_message: text,
  termination_reason: text,
  termination_reason_message: text,
  exit_status: amount,
  error: text,
  probes: z.array(z.looseObject({ success_streak: z.number() })).nullish(),
  image_pull_progress: maybe({
    downloaded_bytes: z.number(),
    extracted_bytes: z.number(),
    total_bytes: z.number(),
    is_total_bytes_final: z.boolean().nullish(),
  }),
  job_provisioning_data: maybe({
    backend: text,
    region: text,
    price: amount,
    instance_type: instanceTypeJson.nullish(),
  }),
  job_runtime_data: maybe({
    offer: maybe({ price: amount, total_blocks: amount, instance: instanceTypeJson.nullish() }),
  }),
});

const job = z.looseObject({
  job_spec: z.looseObject({
    replica_num: amount,
    job_num: amount,
    job_name: text,
    max_duration: amount,
    requirements: requirements.nullish(),
    probes: z.array(z.looseObject({ ready_after: amount })).nullish(),
    app_specs: z.array(z.looseObject({ port: z.number(), map_to_port: amount })).nullish(),
  }),
  job_submissions: z.array(jobSubmission),
  job_connection_info: maybe({
    attached_ide_url: text,
    proxied_ide_url: text,
    attached_ssh_command: z.array(z.string()).nullish(),
  }),
});

export const runJson = z.looseObject({
  id: z.string(),
  project_name: text,
  user: text,
  fleet: maybe({ name: text }),
  submitted_at: text,
  status: z.string(),
  status_message: text,
  termination_reason: text,
  run_spec: z.looseObject({
    run_name: text,
    configuration_path: text,
    configuration: maybe({
      type: text,
      auth: z.boolean().nullish(),
      inactivity_duration: z.union([z.number(), z.string(), z.boolean()]).nullish(),
    }),
  }),
  jobs: z.array(job).default([]),
  cost: amount,
  service: maybe({ url: z.string(), model: maybe({ name: z.string(), base_url: text }) }),
  deployment_num: amount,
  error: text,
  next_triggered_at: text,
});

export type RequirementsJson = z.output<typeof requirements>;
export type RunJson = z.output<typeof runJson>;
export type JobJson = z.output<typeof job>;
export type JobSubmissionJson = z.output<typeof jobSubmission>;
export type InstanceTypeJson = z.output<typeof instanceTypeJson>;
