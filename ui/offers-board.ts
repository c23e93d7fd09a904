import { MAX_BARS, barsOf, cardOf, readGpuKinds, readOffers } from './card-facts.ts';
import type { GpuKind, Offer } from './card-facts.ts';
import { drawPrices } from './chart.ts';
import { data, el, fill, setText } from './dom.ts';
import { describeGpu, formatDollars } from './format.ts';
import type { ToolResult } from './tool-result.ts';
import { createOffersTable, isAvailable } from './offers-table.ts';
import { createCheckbox, createSearch, heading, matchesSearch } from './parts.ts';
import { numberOf } from './read.ts';
import { createTable } from './sortable-table.ts';
import type { Column } from './sortable-table.ts';
import type { Card, View } from './view.ts';
import { shorten } from './visible-text.ts';

/** Creates the page of available GPU offers by price, with filters and a price chart. */
export function createOffersBoard(_card: Card, result: ToolResult): View {
  const cardData = cardOf(result);
  const offers = readOffers(Array.isArray(cardData['offers']) ? cardData : result.facts);
  const kinds = readGpuKinds(result.facts);
  const root = el('main', 'page offers', heading(['Available GPUs'], 'Offers'));
  if (kinds.length > 0 && offers.length === 0) root.append(...showKinds(kinds));
  else
    root.append(...showOffers(offers, numberOf(cardData, 'total') ?? numberOf(result.facts, 'total') ?? offers.length));
  return { root, end: () => undefined };
}

function showOffers(offers: readonly Offer[], total: number): readonly HTMLElement[] {
  const table = createOffersTable();
  const chart = el('div', 'price-chart');
  const note = el('p', { class: 'quiet', attributes: { role: 'status' } });
  const filter = createOffersFilter(offers, () => draw());
  const draw = (): void => {
    const shown = offers.filter((offer) => filter.matches(offer));
    const count =
      total > offers.length
        ? `${shown.length} of the first ${offers.length} (${total} offers match the search)`
        : `${shown.length} of ${offers.length}`;
    setText(note, count);
    fill(chart, drawPrices(barsOf(shown)));
    table.setRows(shown);
  };
  draw();
  return [
    el('div', 'tools', ...filter.fields, note),
    el('section', 'part', el('h2', {}, 'Price per GPU and hour'), chart),
    table.root,
  ];
}

function createOffersFilter(offers: readonly Offer[], onChange: () => void) {
  const search = createSearch('Filter by GPU, machine or region', onChange);
  const place = createChoice('Backend', [...new Set(offers.map(({ backend }) => backend))].sort());
  const kind = createChoice('Spot', ['spot', 'on-demand']);
  const available = createCheckbox('available', 'Available now', onChange);
  const attributes = { type: 'number', min: '0', step: '0.1', 'aria-label': 'Maximum price, $/h' };
  const max = el('input', { class: 'short', attributes: { ...attributes, placeholder: 'max $/h' } });
  for (const input of [place, kind, max]) input.addEventListener('input', onChange);
  return {
    fields: [search, place, kind, max, available.root],
    matches: (offer: Offer): boolean =>
      matchesSearch([offer.gpu, offer.instanceType, offer.backend, offer.region, offer.resources], search.value) &&
      (place.value === '' || offer.backend === place.value) &&
      (kind.value === '' || offer.spot === (kind.value === 'spot')) &&
      (!available.input.checked || isAvailable(offer)) &&
      (max.value === '' || offer.pricePerHour <= Number(max.value)),
  };
}

const KIND_COLUMNS: readonly Column<GpuKind>[] = [
  {
    key: 'machine',
    label: 'GPU',
    sortBy: ({ gpu }) => gpu,
    cell: ({ gpu, backends }) => [data(describeGpu(gpu), 60), el('span', 'sub narrow-only', data(backends, 60))],
  },
  {
    key: 'where',
    label: 'Backends',
    sortBy: ({ backends }) => backends,
    cell: ({ backends }) => data(backends, 120),
  },
  {
    key: 'price',
    label: 'From, per GPU',
    isNumber: true,
    sortBy: ({ priceMin }) => priceMin,
    cell: ({ priceMin }) => formatDollars(priceMin),
  },
  {
    key: 'total',
    label: 'To',
    isNumber: true,
    sortBy: ({ priceMax }) => priceMax,
    cell: ({ priceMax }) => formatDollars(priceMax),
  },
];

function showKinds(kinds: readonly GpuKind[]): readonly HTMLElement[] {
  const table = createTable<GpuKind>({
    caption: 'GPUs',
    empty: 'No offers match.',
    keyOf: ({ gpu, backends }, index) => `${gpu} ${backends} ${index}`,
    columns: KIND_COLUMNS,
  });
  table.setRows(kinds);
  const bars = kinds.slice(0, MAX_BARS).map(({ gpu, priceMin, priceMax }) => ({
    label: describeGpu(gpu.replace(/:[\d.]+$/, '')),
    low: priceMin,
    high: priceMax,
  }));
  return [el('section', 'part', el('h2', {}, 'Price per GPU and hour'), drawPrices(bars)), table.root];
}

function createChoice(label: string, choices: readonly string[]): HTMLSelectElement {
  const options = choices.map((choice) => el('option', { attributes: { value: choice } }, shorten(choice, 30)));
  return el(
    'select',
    { attributes: { 'aria-label': label } },
    el('option', { attributes: { value: '' } }, `${label}: any`),
    ...options,
  );
}
