import * as z from 'zod';
import { omitAbsent } from './json-output.ts';
import { readBackend, readPrice, readTable } from './read-tables.ts';
import type { Table, TableRow } from './read-tables.ts';
import type { Availability, Offer } from '../../core/dstack-terms.ts';
import { availability } from '../../core/dstack-terms.ts';

/** The offers that a text shows, and how many exist in total. */
export interface Offers {
  readonly offers: readonly Offer[];
  readonly total: number;
  /** The highest price of all offers, shown or not, as dstack states it; absent if all are shown. */
  readonly maxPriceOfAll?: number;
}

// format_instance_availability (cli/utils/common.py) prints the values of InstanceAvailability, but nothing for `available` and for
// `unknown`, which backends use that don't report their stock.
function readAvailability(word: string | undefined): Availability {
  if (word === undefined || word === '') return 'available';
  const known = availability.safeParse(word);
  return known.success ? known.data : 'unclear';
}

function readOffer({ cells, unnamed }: TableRow): Offer | undefined {
  const pricePerHour = readPrice(cells['PRICE']);
  const place = readBackend(cells['BACKEND'] ?? '');
  // A run's plan and `dstack offer` print `INSTANCE TYPE` (cli/utils/offers.py), a fleet's plan `INSTANCE`, `REGION` and `SPOT`.
  const instance = cells['INSTANCE TYPE'] ?? cells['INSTANCE'] ?? '';
  if (pricePerHour === undefined || place.backend === '' || instance === '') return undefined;
  const [, instanceType = instance, blocks] = /^(.+) \((\d+\/\d+)\)$/.exec(instance) ?? [];
  const [resources = '', spotMark] = (cells['RESOURCES'] ?? '').split(/( \(spot\))$/);
  return omitAbsent({
    backend: place.backend,
    region: (cells['REGION'] ?? place.region) || undefined,
    instanceType,
    blocks,
    resources,
    gpu: /(?:^| )gpu=(\S+)/.exec(resources)?.[1],
    spot: cells['SPOT'] === 'yes' || spotMark !== undefined,
    pricePerHour,
    availability: readAvailability(unnamed[0]),
  });
}

/** Finds the table of offers, with the columns `#`, `BACKEND` and `PRICE`. Skips other tables. */
export function findOffersTable(lines: readonly string[], fromLine = 0): Table | undefined {
  for (let table = readTable(lines, fromLine); table !== undefined; table = readTable(lines, table.endLine)) {
    if (['#', 'BACKEND', 'PRICE'].every((name) => table?.columns.includes(name))) return table;
  }
  return undefined;
}

/** Parses the offers of a plan or of `dstack offer`. Returns undefined if a row can't be parsed, so that no price is missed. */
export function readOffers(lines: readonly string[], fromLine = 0): Offers | undefined {
  const table = findOffersTable(lines, fromLine);
  if (table === undefined) return { offers: [], total: 0 };
  const offers = table.rows.map(readOffer).filter((offer) => offer !== undefined);
  if (offers.length !== table.rows.length) return undefined;
  // `Shown 3 of 4 offers, $1.3max` (cli/utils/offers.py), in a fleet's plan `... $1.3 max` (services/configurators/fleet.py).
  const shown = /^ Shown \d+ of (\d+) offers, \$(\d+(?:\.\d+)?(?:e[+-]?\d+)?) ?max\s*$/.exec(
    lines[table.endLine] ?? '',
  );
  if (shown === null) return table.cutShort ? undefined : { offers, total: offers.length };
  return { offers, total: Number(shown[1]), maxPriceOfAll: Number(shown[2]) };
}

/** Returns whether dstack could use this offer now. */
export function isAvailable(offer: Offer): boolean {
  return offer.availability === 'available' || offer.availability === 'idle';
}

/** One row of `dstack offer --group-by gpu[,backend[,region]]`. */
export const gpuRow = z.object({
  /** Name, memory and count, as in `RTX4090:24GB:1..2`. */
  gpu: z.string(),
  /** Dollars per hour for one GPU. */
  pricePerGpuMin: z.number(),
  pricePerGpuMax: z.number(),
  /** The backends, with their regions if dstack prints both in one cell. */
  backends: z.string(),
});

/** Parses the groups of `dstack offer --group-by`; none if there is no such table. */
export const readGpuGroups = (text: string): z.output<typeof gpuRow>[] =>
  (readTable(text.split('\n'))?.rows ?? []).flatMap(({ cells }) => {
    const gpu = cells['GPU'] ?? '';
    const [, min, max = min] = /^([\d.]+?)(?:\.\.([\d.]+))?$/.exec(cells['$/GPU'] ?? '') ?? [];
    if (gpu === '' || min === undefined) return [];
    const backends = cells['BACKENDS'] ?? cells['BACKEND'] ?? '';
    return [{ gpu, pricePerGpuMin: Number(min), pricePerGpuMax: Number(max), backends }];
  });

/** Returns whether dstack says that there are no offers (NO_OFFERS_WARNING, cli/utils/common.py). Finding none in a text proves nothing. */
export const saysNoOffers = (text: string): boolean => /^No matching instance offers available\./m.test(text);

/** Returns whether dstack says that the offers aren't limited to what the project's fleets allow (cli/commands/offer.py). */
export const ignoresFleets = (text: string): boolean => /^Hint: Existing fleets are ignored\b/m.test(text);

/**
 * Returns the offers of new instances that aren't among those that fleets allow. An offer that may only be missing because that list was
 * cut isn't one of them, nor is any if the list can't be read.
 */
export function findOutside(offers: readonly Offer[], allowed: Offers | undefined): ReadonlySet<Offer> {
  if (allowed === undefined) return new Set();
  const inside = new Set(allowed.offers.map(identify));
  const last = allowed.total > allowed.offers.length ? allowed.offers.at(-1) : undefined;
  // An existing instance is one of a fleet.
  const isNew = ({ availability: state }: Offer): boolean => state !== 'idle' && state !== 'busy';
  const isListed = (offer: Offer): boolean => last === undefined || comesBefore(offer, last);
  return new Set(offers.filter((offer) => isNew(offer) && isListed(offer) && !inside.has(identify(offer))));
}

/** Whether dstack lists one offer before another: those that are available first, each by price. */
function comesBefore(one: Offer, other: Offer): boolean {
  const [first, second] = [isAvailable(one), isAvailable(other)];
  return first === second ? one.pricePerHour < other.pricePerHour : first;
}

const identify = ({ backend, region, instanceType, blocks, resources, spot, pricePerHour }: Offer): string =>
  JSON.stringify([backend, region, instanceType, blocks, resources, spot, pricePerHour]);

/** Describes which offers are excluded, by a limit of this server or by the fleets, by their numbers in dstack's table: `#3-5, #7 (this server's price cap is $1.00/h)`. */
export function describeExcluded(offers: readonly { readonly excluded: string | undefined }[]): string[] {
  const reasons = [...new Set(offers.map(({ excluded }) => excluded))].filter((reason) => reason !== undefined);
  return reasons.map((reason) => {
    const rows = offers.flatMap(({ excluded }, index) => (excluded === reason ? [index + 1] : []));
    return `excluded: ${formatRanges(rows)} (${reason})`;
  });
}

function formatRanges(numbers: readonly number[]): string {
  const starts = numbers.filter((one) => !numbers.includes(one - 1));
  const ends = numbers.filter((one) => !numbers.includes(one + 1));
  return starts.map((start, at) => (start === ends[at] ? `#${start}` : `#${start}-${ends[at]}`)).join(', ');
}
