import * as z from 'zod';
import { plural } from '../src/core/values.ts';
import { offerRow } from '../src/core/dstack-terms.ts';
import { choiceFlags, choices, extraFlags, project } from '../src/core/fields.ts';
import { readFleets } from '../src/dstack/output/read-tables.ts';
import {
  describeExcluded,
  findOutside,
  gpuRow,
  ignoresFleets,
  readGpuGroups,
  readOffers,
  saysNoOffers,
} from '../src/dstack/output/read-offers.ts';
import type { Offers } from '../src/dstack/output/read-offers.ts';
import { unrecognized } from '../src/core/report.ts';
import type { ToolContext } from '../src/tool/tool-context.ts';
import { defineTool } from '../src/tool/tool.ts';

const offerFacts = offerRow
  .omit({ blocks: true, resources: true })
  .extend({ availability: z.string(), excluded: z.string().optional() });

const input = z.strictObject({
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
});
type Input = z.output<typeof input>;

export const offer = defineTool({
  name: 'offer',
  title: 'List GPU offers',
  description:
    'Find cheap GPU offers with prices per hour, cheapest first: A100, H100, RTX and others, what they cost, spot or on-demand, available or idle. Group by gpu for a short overview.',
  effect: 'read',
  card: 'offers',
  input,
  facts: z.object({
    offers: z.array(offerFacts),
    gpus: z.array(gpuRow),
    total: z.number().describe('Matching offers, shown or not'),
  }),
  async run(request, { dstack, exclusions }) {
    const transcript = await dstack.read(commandOf(request));
    const found = readOffers(transcript.stdout.split('\n'));
    const exclusionOf = exclusions();
    const outside = ignoresFleets(transcript.stdout) ? await findOutsideFleets(request, found, dstack) : new Set();
    const offers = (found?.offers ?? []).map((one) => {
      const { backend, region, instanceType, gpu, spot, pricePerHour, availability } = one;
      const excluded = exclusionOf({ backend, region, pricePerHour }) ?? (outside.has(one) ? NO_FLEET : undefined);
      return { backend, region, instanceType, gpu, spot, pricePerHour, availability, excluded };
    });
    const gpus = readGpuGroups(transcript.stdout);
    const count = offers.length + gpus.length;
    const withGpu = offers.filter(({ gpu }) => gpu !== undefined).length;
    // Without `gpu`, dstack lists machines without one, too, and idle ones first.
    const isMixed = withGpu < offers.length && request.gpu === undefined;
    if (count === 0 && !saysNoOffers(transcript.stdout)) return unrecognized(transcript);
    return {
      outcome: 'done',
      summary:
        count === 0
          ? 'No offers match.'
          : gpus.length > 0
            ? `${plural(gpus.length, 'GPU model')}.`
            : `${offers.length} of ${found?.total ?? offers.length} offers${isMixed ? `, ${withGpu} of them with a GPU` : ''}.`,
      details: describeExcluded(offers),
      printed: [{ transcript, rest: 'narrow it down with gpu, max_price or backend, or use group_by ["gpu"]' }],
      facts: gpus.length > 0 ? { gpus } : { offers: offers.slice(0, 100), total: found?.total ?? offers.length },
      next: count === 0 ? NONE : isMixed ? `${ONLY_GPUS} ${NEXT}` : NEXT,
    };
  },
});

const commandOf = (request: Input, fleets?: readonly string[]) => ({
  command: 'offer',
  flags: {
    ...choiceFlags(request),
    ...(fleets === undefined ? {} : { '--fleet': fleets }),
    '--group-by': request.group_by?.join(','),
    '--backend': request.backend,
    '--region': request.region,
    // The order of equal prices differs: the same offers may come a little later.
    '--max-offers': fleets === undefined ? request.max_offers : (request.max_offers ?? DEFAULT_OFFERS) + SLACK,
    '--project': request.project,
  },
  extraFlags: request.flags,
});

/** dstack's own default. */
const DEFAULT_OFFERS = 50;
const SLACK = 50;
/** More fleets than a command should name. */
const MAX_FLEETS = 20;
const NO_FLEET = 'no fleet of the project allows it';

/** Finds the offers that none of the project's fleets allows, by asking dstack for those that they do. */
async function findOutsideFleets(
  request: Input,
  found: Offers | undefined,
  dstack: ToolContext['dstack'],
): Promise<ReadonlySet<unknown>> {
  if (found === undefined || found.offers.length === 0) return new Set();
  const listed = await dstack.read({ command: 'fleet', flags: { '--project': request.project } });
  const names = (readFleets(listed.stdout) ?? []).map(({ name }) => name);
  if (names.length === 0 || names.length > MAX_FLEETS) return new Set();
  const allowed = await dstack.read(commandOf(request, names));
  const inside = readOffers(allowed.stdout.split('\n'));
  const isReadable = inside?.offers.length !== 0 || saysNoOffers(allowed.stdout);
  return findOutside(found.offers, isReadable ? inside : undefined);
}

const ONLY_GPUS = 'With gpu "1..", only offers with a GPU are listed.';
const NONE = 'Ask for less: another gpu, spot "auto", or no max_price.';
const NEXT =
  "To use one: plan with a configuration whose `resources` match it. A run gets only what one of the project's fleets allows: with `fleet`, offer lists what that fleet allows.";
