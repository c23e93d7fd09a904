import type { Offer } from './card-facts.ts';
import { data, el } from './dom.ts';
import { optional } from './read.ts';
import { describeGpu, formatDollars } from './format.ts';
import { statusPill } from './parts.ts';
import type { Tone } from './run-facts.ts';
import { createTable } from './sortable-table.ts';
import type { Column, SortableTable } from './sortable-table.ts';

/** The terms of a plan that multiply the price of an offer. */
export interface OfferTerms {
  readonly machines?: { readonly min: number; readonly max?: number };
  readonly time?: { readonly hours: number };
  /** Rows shown initially. */
  readonly pageSize?: number;
}

/** Creates a table of offers, cheapest first, with prices for all nodes and for all of the time that they can cost, if that has a limit. */
export function createOffersTable(terms: OfferTerms = {}): SortableTable<Offer> {
  const nodes = terms.machines?.max ?? terms.machines?.min ?? 1;
  const hours = terms.time?.hours;
  return createTable<Offer>({
    caption: 'Offers',
    ...optional('pageSize', terms.pageSize),
    empty: 'No offers match.',
    keyOf: (offer, index) => `${offer.backend} ${offer.region ?? ''} ${offer.instanceType ?? ''} ${index}`,
    columns: [
      machineColumn,
      {
        key: 'where',
        label: 'Backend',
        sortBy: placeOf,
        cell: (offer) => [data(offer.backend, 40), sub(offer.region)],
      },
      {
        key: 'price',
        label: 'Per hour',
        isNumber: true,
        sortBy: ({ pricePerHour }) => pricePerHour,
        cell: ({ pricePerHour }) => [
          el('span', 'strong', formatDollars(pricePerHour)),
          nodes === 1 ? undefined : sub(`× ${nodes} = ${formatDollars(pricePerHour * nodes)}`),
        ],
      },
      ...(hours === undefined ? [] : [totalColumn(nodes * hours)]),
      {
        key: 'stock',
        label: 'Available',
        sortBy: ({ availability }) => AVAILABILITY.get(availability)?.order ?? 3,
        cell: ({ availability }) => {
          const known = AVAILABILITY.get(availability);
          return statusPill(known?.label ?? availability, known?.tone ?? 'over');
        },
      },
    ],
  });
}

interface Availability {
  readonly label: string;
  readonly tone: Tone;
  readonly order: number;
}

/** Display of dstack's availability, best first. */
const AVAILABILITY: ReadonlyMap<string, Availability> = new Map<string, Availability>([
  ['idle', { label: 'idle', tone: 'good', order: 0 }],
  ['available', { label: 'yes', tone: 'good', order: 1 }],
  ['busy', { label: 'busy', tone: 'busy', order: 2 }],
  ['unclear', { label: 'unclear', tone: 'over', order: 3 }],
  ['no quota', { label: 'no quota', tone: 'bad', order: 4 }],
  ['no balance', { label: 'no balance', tone: 'bad', order: 5 }],
  ['not available', { label: 'no', tone: 'over', order: 6 }],
]);

/** Returns whether a run could start on the offer now. */
export const isAvailable = ({ availability }: Offer): boolean =>
  availability === 'idle' || availability === 'available';

const sub = (text: string | undefined, when = ''): HTMLElement | undefined =>
  text === undefined || text === '' ? undefined : el('span', `sub ${when}`, data(text, 60));

/** Describes the machine without its GPU, which is shown above it. */
const describeMachine = (instanceType = '', resources = ''): string =>
  [instanceType, resources.replace(/ ?gpu=\S+/, '')].filter((part) => part !== '').join(' · ');

const placeOf = ({ backend, region = '' }: Offer): string => `${backend} ${region}`;

const machineColumn: Column<Offer> = {
  key: 'machine',
  label: 'Machine',
  sortBy: ({ gpu, instanceType }) => gpu ?? instanceType ?? '',
  cell: ({ gpu, instanceType, resources, spot, backend, region }) => [
    data(gpu === undefined ? (instanceType ?? 'machine') : describeGpu(gpu), 60),
    spot ? el('span', 'tag', 'spot') : undefined,
    sub(gpu === undefined ? resources : describeMachine(instanceType, resources), 'wide-only'),
    sub(region === undefined ? backend : `${backend} · ${region}`, 'narrow-only'),
  ],
};

function totalColumn(nodeHours: number): Column<Offer> {
  return {
    key: 'total',
    label: 'At most',
    isNumber: true,
    sortBy: ({ pricePerHour }) => pricePerHour * nodeHours,
    // Rounded up to a cent, as the total.
    cell: ({ pricePerHour }) => formatDollars(Math.ceil(Number((pricePerHour * nodeHours * 100).toFixed(6))) / 100),
  };
}
