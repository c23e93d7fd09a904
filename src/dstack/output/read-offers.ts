import * as z from 'zod';
import { omitAbsent } from './omit-absent.ts';
import { readTable } from './read-table.ts';
import type { Table, TableRow } from './read-table.ts';
import type { Availability, Offer } from '../../core/offer.ts';
import { availability } from '../../core/offer.ts';

/** The offers of a text, and how many there are beside those shown. */
export interface Offers {
  readonly offers: readonly Offer[];
  readonly total: number;
  /** The dearest of all offers, shown or not, as dstack states it; absent where all are shown. */
  readonly maxPriceOfAll?: number;
}

// format_instance_availability (cli/utils/common.py) prints the words of InstanceAvailability, but nothing for `available` and for
// `unknown`, which is what a backend says that doesn't report its stock.
function readAvailability(word: string | undefined): Availability {
  if (word === undefined || word === '') return 'available';
  const known = availability.safeParse(word);
  return known.success ? known.data : 'unclear';
}

/** A price as dstack prints it (`$0.39`), in dollars; undefined where it is none. */
export function readPrice(text: string | undefined): number | undefined {
  const digits = /^\$(\d+(?:\.\d+)?)(?: \(spot\))?$/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Backend and region of `cloudrift (us-east-nc-nr-1)`, as format_backend (cli/utils/common.py) prints them. */
export function readBackend(text: string): { readonly backend: string; readonly region?: string } {
  const parts = /^(\S+) \((.+)\)$/.exec(text);
  const [, backend = text, region] = parts ?? [];
  return region === undefined ? { backend } : { backend, region };
}

function readOffer(row: TableRow): Offer | undefined {
  const { cells, unnamed } = row;
  const pricePerHour = readPrice(cells['PRICE']);
  const place = readBackend(cells['BACKEND'] ?? '');
  // A run's plan and `dstack offer` print `INSTANCE TYPE` (cli/utils/offers.py), a fleet's plan `INSTANCE`, `REGION` and `SPOT`.
  const instance = cells['INSTANCE TYPE'] ?? cells['INSTANCE'] ?? '';
  if (pricePerHour === undefined || place.backend === '' || instance === '') return undefined;
  const [, instanceType = instance, blocks] = /^(.+) \((\d+\/\d+)\)$/.exec(instance) ?? [];
  const region = cells['REGION'] ?? place.region;
  const spotMark = / \(spot\)$/;
  const resources = cells['RESOURCES'] ?? '';
  const gpu = /(?:^| )gpu=(\S+)/.exec(resources)?.[1];
  return omitAbsent({
    backend: place.backend,
    region: region === '' ? undefined : region,
    instanceType,
    blocks,
    resources: resources.replace(spotMark, ''),
    gpu,
    spot: cells['SPOT'] === 'yes' || spotMark.test(resources),
    pricePerHour,
    availability: readAvailability(unnamed[0]),
  });
}

/** The table of offers in these lines: `#`, `BACKEND`, `PRICE`. Other tables are passed over. */
export function findOffersTable(lines: readonly string[], fromLine = 0): Table | undefined {
  for (let table = readTable(lines, fromLine); table !== undefined; table = readTable(lines, table.endLine)) {
    if (['#', 'BACKEND', 'PRICE'].every((name) => table?.columns.includes(name))) return table;
  }
  return undefined;
}

/** Reads the offers of a plan or of `dstack offer`; undefined where a row can't be read, so that no price is passed over. */
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

/** True where dstack could start on this offer now. */
export function canBeTaken(offer: Offer): boolean {
  return offer.availability === 'available' || offer.availability === 'idle';
}

/** One row of `dstack offer --group-by gpu[,backend[,region]]`. */
const gpuRow = z.object({
  /** Name, memory and count, as in `RTX4090:24GB:1..2`. */
  gpu: z.string(),
  spot: z.array(z.string()),
  /** Dollars an hour for one GPU. */
  pricePerGpuMin: z.number(),
  pricePerGpuMax: z.number(),
  /** The backends, with their regions where dstack prints both in one cell. */
  backends: z.string(),
  regions: z.string().optional(),
  /** dstack's words where none is available; absent where some are. */
  unavailable: z.string().optional(),
});

export type GpuRow = z.output<typeof gpuRow>;

function readGpuGroup({ cells, unnamed }: TableRow): GpuRow | undefined {
  const gpu = cells['GPU'] ?? '';
  const [min = Number.NaN, max = min] = (cells['$/GPU'] ?? '').split('..').map(Number);
  if (gpu === '' || Number.isNaN(min) || Number.isNaN(max)) return undefined;
  const regions = cells['REGIONS'] ?? cells['REGION'];
  return omitAbsent({
    gpu,
    spot: (cells['SPOT'] ?? '').split(', ').filter((word) => word !== ''),
    pricePerGpuMin: min,
    pricePerGpuMax: max,
    backends: cells['BACKENDS'] ?? cells['BACKEND'] ?? '',
    regions,
    unavailable: unnamed[0],
  });
}

/** Reads the groups of `dstack offer --group-by`; undefined where the text holds no such table. */
export function readGpuGroups(text: string): readonly GpuRow[] | undefined {
  const table = readTable(text.split('\n'));
  if (table === undefined || !table.columns.includes('$/GPU')) return undefined;
  return table.rows.map(readGpuGroup).filter((group) => group !== undefined);
}

/** True where dstack says that there are none (NO_OFFERS_WARNING, cli/utils/common.py): a text in which none are found tells nothing. */
export const saysNoOffers = (text: string): boolean => /^No matching instance offers available\./m.test(text);
