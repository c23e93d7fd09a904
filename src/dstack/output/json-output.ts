import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { formatPrice } from '../../core/values.ts';

/**
 * Parses the JSON that a command printed with `--json`. Skips what the CLI prints before it, also to standard output: once a day
 * "A new version of dstack is available" (cli/utils/updates.py), and warnings of its logger.
 * @throws ToolError `cli-not-understood` if there is no JSON.
 */
export function readJsonOutput(stdout: string): unknown {
  const end = stdout.trimEnd().at(-1);
  for (const { 0: start, index } of stdout.matchAll(/^[[{]/gm)) {
    // Parses only what can be complete: a flood of brackets would be read to its end from each of them.
    if (end !== (start === '[' ? ']' : '}')) continue;
    try {
      const value: unknown = JSON.parse(stdout.slice(index));
      return value;
    } catch {
      // A line of a warning can start with a bracket, too (`[08:15:00] …`): keep looking.
    }
  }
  throw new ToolError(
    'cli-not-understood',
    'dstack was asked for JSON and printed none.',
    'Use doctor to check which version of the CLI is installed.',
  );
}

type IsPresent<V> = null extends V ? false : undefined extends V ? false : true;

/** The same object type without `null` and `undefined`: such properties are optional. */
type Present<T> = { [K in keyof T as IsPresent<T[K]> extends true ? K : never]: T[K] } & {
  [K in keyof T as IsPresent<T[K]> extends true ? never : K]?: NonNullable<T[K]>;
};

/** Removes properties that are `null` or `undefined`. */
export function omitAbsent<T extends object>(values: T): Present<T>;
export function omitAbsent(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
}

/** Returns the sum of the prices that are known; undefined if there are none. */
export function addPrices(prices: readonly (number | null | undefined)[]): number | undefined {
  const known = prices.flatMap((price) => price ?? []);
  return known.length === 0 ? undefined : Number(known.reduce((sum, price) => sum + price, 0).toFixed(6));
}

// dstack uses both null and '' for a missing text.
const text = z
  .string()
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value));
const amount = z.number().nullish();

/** An object that may be missing. */
const maybe = <Shape extends z.ZodRawShape>(shape: Shape) => z.looseObject(shape).nullish();

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

// The parts of `dstack run get --json` that are read (core/models/runs.py in 0.22.5; the same fields in 0.20.29). Other fields are
// ignored, and fields that a version may lack are optional.

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

export type RunJson = z.output<typeof runJson>;
export type JobJson = z.output<typeof job>;
export type JobSubmissionJson = z.output<typeof jobSubmission>;

/** A fleet, a volume or a gateway (core/models/fleets.py, volumes.py, gateways.py). */
export const resourceJson = z.looseObject({
  id: z.string(),
  name: z.string(),
  project_name: text,
  status: z.string(),
  status_message: text,
  created_at: text,
  cost: amount,
  external: z.boolean().nullish(),
  default: z.boolean().nullish(),
  hostname: text,
  ip_address: text,
  wildcard_domain: text,
  /** Of a volume or a gateway. */
  configuration: maybe({ backend: text, region: text, size: amount }),
  /** Of a fleet. */
  spec: maybe({
    configuration: z.looseObject({ nodes: maybe({ min: amount, max: amount }), ssh_config: z.unknown().optional() }),
  }),
  instances: z
    .array(
      z.looseObject({
        instance_num: amount,
        status: z.string(),
        price: amount,
        unreachable: z.boolean().nullish(),
        termination_reason: text,
        termination_reason_message: text,
        job_name: text,
        instance_type: instanceTypeJson.nullish(),
      }),
    )
    .default([]),
  attachments: z
    .array(z.looseObject({ instance: z.looseObject({ fleet_name: text, instance_num: amount }) }))
    .nullish(),
  replicas: z.array(z.looseObject({ hostname: text })).nullish(),
});
export type ResourceJson = z.output<typeof resourceJson>;

type RequirementsJson = z.output<typeof requirements>;
type InstanceTypeJson = z.output<typeof instanceTypeJson>;

type Range = { readonly min?: number | null | undefined; readonly max?: number | null | undefined } | null | undefined;

/** Formats a range as dstack does: `8..`, `2..4`, `1`; undefined if it is open at both ends. */
function formatRange(range: Range, unit = ''): string | undefined {
  const [min, max] = [range?.min, range?.max].map((end) =>
    end === null || end === undefined ? '' : `${Number(end.toFixed(2))}${unit}`,
  );
  if (min === '' && max === '') return undefined;
  return min === max ? min : `${min ?? ''}..${max ?? ''}`;
}

function formatGpu(gpu: RequirementsJson['resources']['gpu']): string | undefined {
  if (gpu === null || gpu === undefined) return undefined;
  const names = (gpu.name ?? []).join(',');
  // dstack's default: a GPU may be there, but isn't needed.
  if (gpu.count?.min === 0 && names === '') return undefined;
  const total = formatRange(gpu.total_memory, 'GB');
  const known = [names, formatRange(gpu.memory, 'GB'), formatRange(gpu.count)].filter(Boolean).join(':');
  return total === undefined ? known : `${known} total ${total}`;
}

/** Returns `name=value` for each value that is known. */
const nameKnown = (values: Readonly<Record<string, string | number | undefined>>): string =>
  Object.entries(values)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
    .join(' ');

/** Describes the hardware that a job asks for, in the words of dstack's plans: `gpu=RTX4090:1.. cpu=x86:2.. mem=8GB.., on-demand`. */
export function describeRequirements(requirements: RequirementsJson | null | undefined): string | undefined {
  if (requirements === null || requirements === undefined) return undefined;
  const { resources, spot, max_price: maxPrice } = requirements;
  const { cpu, memory, disk, gpu } = resources;
  const count = formatRange(cpu?.count);
  return [
    nameKnown({
      gpu: formatGpu(gpu),
      cpu: count === undefined ? undefined : [cpu?.arch ?? [], count].flat().join(':'),
      mem: formatRange(memory, 'GB'),
      disk: formatRange(disk?.size, 'GB'),
    }),
    spot === true ? 'spot' : spot === false ? 'on-demand' : 'spot or on-demand',
    ...(maxPrice === null || maxPrice === undefined ? [] : [`at most ${formatPrice(maxPrice)}`]),
  ].join(', ');
}

/** Formats a size; undefined if dstack doesn't know it. */
const formatGb = (mib: number | null | undefined, digits: number): string | undefined =>
  (mib ?? 0) > 0 ? `${Number(((mib ?? 0) / 1024).toFixed(digits))}GB` : undefined;

/** Describes GPUs as dstack does: `RTX4090:24GB:1`. */
export function describeGpus(instance: InstanceTypeJson | null | undefined): string | undefined {
  const gpus = instance?.resources?.gpus ?? [];
  const [gpu] = gpus;
  return gpu && [gpu.name, formatGb(gpu.memory_mib, 2) ?? [], gpus.length].flat().join(':');
}

/** Describes the CPUs, memory and disk of an instance; undefined if dstack doesn't know them. */
export function describeHardware(instance: InstanceTypeJson | null | undefined): string | undefined {
  const { cpus, memory_mib: memory, disk } = instance?.resources ?? {};
  const known = { cpu: cpus || undefined, mem: formatGb(memory, 1), disk: formatGb(disk?.size_mib, 1) };
  return nameKnown(known) || undefined;
}
