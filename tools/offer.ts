import * as z from 'zod';
import { plural } from '../src/core/format-values.ts';
import { choiceFlags, choices, extraFlags, project } from '../src/core/fields.ts';
import { describeExcluded, readGpuGroups, readOffers, saysNoOffers } from '../src/dstack/output/read-offers.ts';
import { unrecognized } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

const offerFacts = z.object({
  backend: z.string(),
  region: z.string().optional(),
  instanceType: z.string(),
  gpu: z.string().optional(),
  spot: z.boolean(),
  pricePerHour: z.number(),
  availability: z.string(),
  excluded: z.string().optional(),
});

const gpuFacts = z.object({
  gpu: z.string(),
  pricePerGpuMin: z.number(),
  pricePerGpuMax: z.number(),
  backends: z.string(),
});

export const offer = defineTool({
  name: 'offer',
  title: 'List GPU offers',
  description:
    'Find cheap GPU offers with prices per hour, cheapest first: A100, H100, RTX and others, what they cost, spot or on-demand, available or idle. Group by gpu for a short overview.',
  effect: 'read',
  card: 'offers',
  input: z.strictObject({
    ...choices,
    group_by: z
      .array(z.enum(['gpu', 'backend', 'region', 'count']))
      .min(1)
      .max(4)
      .optional()
      .describe('With gpu'),
    backend: z.array(z.string().max(100)).max(20).optional(),
    region: z.array(z.string().max(100)).max(20).optional(),
    max_offers: z.int().min(1).max(500).optional(),
    project,
    flags: extraFlags,
  }),
  facts: z.object({
    offers: z.array(offerFacts),
    gpus: z.array(gpuFacts),
    total: z.number().describe('Matching offers, shown or not'),
  }),
  async run(input, { dstack, exclusions }) {
    const transcript = await dstack.read({
      command: 'offer',
      flags: {
        ...choiceFlags(input),
        '--group-by': input.group_by?.join(','),
        '--backend': input.backend,
        '--region': input.region,
        '--max-offers': input.max_offers,
        '--project': input.project,
      },
      extraFlags: input.flags,
    });
    const found = readOffers(transcript.stdout.split('\n'));
    const exclusionOf = exclusions();
    const offers = (found?.offers ?? []).map(
      ({ backend, region, instanceType, gpu, spot, pricePerHour, availability }) => ({
        backend,
        region,
        instanceType,
        gpu,
        spot,
        pricePerHour,
        availability,
        excluded: exclusionOf({ backend, region, pricePerHour }),
      }),
    );
    const groups = readGpuGroups(transcript.stdout);
    const gpus = (groups ?? []).map(({ gpu, pricePerGpuMin, pricePerGpuMax, backends }) => ({
      gpu,
      pricePerGpuMin,
      pricePerGpuMax,
      backends,
    }));
    const count = offers.length + gpus.length;
    const isNone = saysNoOffers(transcript.stdout);
    if (count === 0 && !isNone) return unrecognized(transcript);
    return {
      outcome: 'done',
      summary:
        count === 0
          ? 'No offers match.'
          : gpus.length > 0
            ? `${plural(gpus.length, 'GPU model')}.`
            : `${offers.length} of ${found?.total ?? offers.length} offers.`,
      details: describeExcluded(offers),
      printed: [{ transcript, rest: 'narrow it down with gpu, max_price or backend, or use group_by ["gpu"]' }],
      facts: gpus.length > 0 ? { gpus } : { offers: offers.slice(0, 100), total: found?.total ?? offers.length },
      ...(isNone ? { next: 'Ask for less: another gpu, spot "auto", or no max_price.' } : {}),
      ...(count > 0 ? { next: NEXT } : {}),
    };
  },
});

const NEXT =
  "To use one: plan with a configuration whose `resources` match it. A run gets only what one of the project's fleets allows: `fleet` shows its offers.";
