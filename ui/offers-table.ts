import type { Offer } from './card-facts.ts';
import { data, el } from './dom.ts';
import { optional } from './read.ts';
import { describeGpu } from './format.ts';
import type { Formats } from './format.ts';
import { statusPill } from './parts.ts';
import type { Tone } from './run-facts.ts';
import { createTable } from './sortable-table.ts';
import type { Column, SortableTable } from './sortable-table.ts';

/** What a plan's offers are multiplied by. */
export interface OfferTerms {
  readonly machines?: { readonly min: number; readonly max?: number };
  readonly maxDurationHours?: number;
  /** Rows that are drawn at first. */
  readonly pageSize?: number;
}

/** A table of offers, the cheapest first; with the price of all nodes and of the longest duration where a plan has them. */
export function createOffersTable(formats: Formats, terms: OfferTerms = {}): SortableTable<Offer> {
  const nodes = terms.machines?.max ?? terms.machines?.min ?? 1;
  const hours = terms.maxDurationHours;
  return createTable<Offer>({
    caption: 'Offers',
    ...optional('pageSize', terms.pageSize),
    empty: 'No offers match.',
    keyOf: (offer, index) => `${offer.backend} ${offer.region ?? ''} ${offer.instanceType ?? ''} ${index}`,
    columns: [
      machineColumn,
      { key: 'where', label: 'Where', sortBy: placeOf, cell: (offer) => [data(offer.backend, 40), sub(offer.region)] },
      {
        key: 'price',
        label: 'Per hour',
        isNumber: true,
        sortBy: ({ pricePerHour }) => pricePerHour,
        cell: ({ pricePerHour }) => [
          el('span', 'strong', formats.money(pricePerHour)),
          nodes === 1 ? undefined : sub(`× ${nodes} = ${formats.money(pricePerHour * nodes)}`),
        ],
      },
      ...(hours === undefined ? [] : [totalColumn(formats, nodes * hours)]),
      {
        key: 'stock',
        label: 'Free now',
        sortBy: ({ availability }) => STOCK.get(availability)?.order ?? 3,
        cell: ({ availability }) => {
          const stock = STOCK.get(availability);
          return statusPill(stock?.label ?? availability, stock?.tone ?? 'over');
        },
      },
    ],
  });
}

/** dstack's words of what can be had now, the best first. */
interface Stock {
  readonly label: string;
  readonly tone: Tone;
  readonly order: number;
}

const STOCK: ReadonlyMap<string, Stock> = new Map<string, Stock>([
  ['idle', { label: 'idle', tone: 'good', order: 0 }],
  ['available', { label: 'yes', tone: 'good', order: 1 }],
  ['busy', { label: 'busy', tone: 'busy', order: 2 }],
  ['unclear', { label: 'unclear', tone: 'over', order: 3 }],
  ['no quota', { label: 'no quota', tone: 'bad', order: 4 }],
  ['no balance', { label: 'no balance', tone: 'bad', order: 5 }],
  ['not available', { label: 'no', tone: 'over', order: 6 }],
]);

/** Whether a run could start on it now. */
export const isFree = ({ availability }: Offer): boolean => availability === 'idle' || availability === 'available';

const sub = (text: string | undefined, when = ''): HTMLElement | undefined =>
  text === undefined || text === '' ? undefined : el('span', `sub ${when}`, data(text, 60));

/** The machine without its GPU, which stands above it. */
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

function totalColumn(formats: Formats, times: number): Column<Offer> {
  return {
    key: 'total',
    label: 'At most',
    isNumber: true,
    sortBy: ({ pricePerHour }) => pricePerHour * times,
    cell: ({ pricePerHour }) => formats.money(pricePerHour * times),
  };
}
