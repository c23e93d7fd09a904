import * as z from 'zod';

/** The facts of a change, the same for its preview and its result. */
export const changeFacts = z.object({
  operation: z.enum(['create', 'update', 'replace', 'none', 'stop', 'abort', 'delete', 'send', 'access', 'unknown']),
  resource: z.object({ kind: z.string(), name: z.string().optional() }),
  project: z.string(),
  token: z.string(),
  expiresAt: z.string(),
  pricePerHour: z.number().describe('USD for all nodes, first offer'),
  priceRange: z.array(z.number()).describe('[lowest, highest] of the offers shown'),
  mostPerHour: z.number().describe('USD at most; absent without a known limit'),
  totalPrice: z.number().describe('USD at most in total; the same'),
  offers: z.array(z.looseObject({ backend: z.string(), pricePerHour: z.number().optional() })),
  changes: z.array(z.string()).describe('Properties that differ from the existing resource'),
  blockers: z.array(z.object({ code: z.string(), message: z.string(), hint: z.string() })),
  warnings: z.array(z.string()),
  access: z.array(z.string()),
  sends: z.array(z.string()),
  consent: z.string(),
  status: z.string(),
  runs: z.array(z.object({ name: z.string(), outcome: z.string(), status: z.string().optional() })),
});

/** The facts of a preview that only asks for a consent. */
export const previewFacts = changeFacts.pick({
  operation: true,
  resource: true,
  project: true,
  token: true,
  expiresAt: true,
});

/** The facts of a stop or a deletion. */
export const removalFacts = previewFacts.extend(changeFacts.pick({ consent: true, status: true, runs: true }).shape);

/** The facts of a preview that asks for the consent to use a run. */
export const accessFacts = previewFacts.extend(changeFacts.pick({ access: true }).shape);

/** The facts of a change that was made. */
export const appliedFacts = removalFacts.omit({ token: true, expiresAt: true });

export type ChangeFacts = z.output<typeof changeFacts>;
