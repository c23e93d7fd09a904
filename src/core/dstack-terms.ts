import * as z from 'zod';

/** Availability of an offer, in dstack's terms; `unclear` stands for a term that this version doesn't know. */
export const availability = z.enum(['available', 'idle', 'busy', 'not available', 'no quota', 'no balance', 'unclear']);

/** One row of the offers that a plan or `dstack offer` shows. */
export const offerRow = z.object({
  backend: z.string(),
  region: z.string().optional(),
  instanceType: z.string(),
  /** Part of a shared instance, as in `1/4`. */
  blocks: z.string().optional(),
  resources: z.string(),
  /** As in `RTX4090:24GB:1`. */
  gpu: z.string().optional(),
  spot: z.boolean(),
  pricePerHour: z.number(),
  availability,
});

export type Availability = z.output<typeof availability>;

export type Offer = z.output<typeof offerRow>;

/** Statuses of a run in their order; the last three are final. */
export const RUN_STATUSES = [
  'submitted',
  'provisioning',
  'running',
  'terminating',
  'terminated',
  'failed',
  'done',
] as const;

/** The states that can be waited for: `ready` is a service that answers, `finished` any of the final statuses. */
export const AWAITED = ['ready', 'finished', ...RUN_STATUSES] as const;

export type Awaited = (typeof AWAITED)[number];

const RUN_TYPES: ReadonlySet<string> = new Set(['task', 'service', 'dev-environment']);

/** Whether the type of a configuration is that of a run, which can end without being deleted. */
export const isRunType = (type: string): boolean => RUN_TYPES.has(type);
