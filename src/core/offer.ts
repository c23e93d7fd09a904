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
