import { cardOf, readGpuKinds, readOffers } from './card-facts.ts';
import type { GpuKind, Offer } from './card-facts.ts';
import { drawPrices } from './chart.ts';
import { data, el, fill, setText } from './dom.ts';
import { describeGpu } from './format.ts';
import type { ToolResult } from './tool-result.ts';
import { MOST_BARS, barsOf } from './price-bars.ts';
import { createOffersTable, isFree } from './offers-table.ts';
import { createCheckbox, heading } from './parts.ts';
import { numberOf } from './read.ts';
import { createTable } from './sortable-table.ts';
import type { Card, View } from './view.ts';
import { shorten } from './visible-text.ts';

/** GPUs that can be had, by price, with filters and a small chart of what each kind costs. */
export function createOffersBoard(card: Card, result: ToolResult): View {
  const handed = cardOf(result);
  const offers = readOffers(Array.isArray(handed['offers']) ? handed : result.facts);
  const kinds = readGpuKinds(result.facts);
  const root = el('main', 'page offers', heading(['GPUs that can be had'], 'Offers'));
  if (kinds.length > 0 && offers.length === 0) root.append(...showKinds(card, kinds));
  else
    root.append(
      ...showOffers(card, offers, numberOf(handed, 'total') ?? numberOf(result.facts, 'total') ?? offers.length),
    );
  return { root, end: () => undefined };
}

function showOffers({ formats }: Card, offers: readonly Offer[], total: number): readonly HTMLElement[] {
  const table = createOffersTable(formats);
  const chart = el('div', 'price-chart');
  const note = el('p', { class: 'quiet', attributes: { role: 'status' } });
  const filter = createOffersFilter(offers, () => draw());
  const draw = (): void => {
    const chosen = offers.filter((offer) => filter.lets(offer));
    const ofAll =
      total > offers.length
        ? `${chosen.length} of the first ${offers.length}, of ${total} that match the question`
        : `${chosen.length} of ${offers.length}`;
    setText(note, ofAll);
    fill(chart, drawPrices(barsOf(chosen), formats.money));
    table.setRows(chosen);
  };
  draw();
  return [
    el('div', 'tools', ...filter.fields, note),
    el('section', 'part', el('h2', {}, 'Per hour and GPU'), chart),
    table.root,
  ];
}

function createOffersFilter(offers: readonly Offer[], onChange: () => void) {
  const words = createSearch('Filter by GPU, machine or place');
  const place = createChoice('Backend', [...new Set(offers.map(({ backend }) => backend))].sort());
  const kind = createChoice('Spot', ['spot', 'on-demand']);
  const free = createCheckbox('free', 'Free now', onChange);
  const attributes = { type: 'number', min: '0', step: '0.1', 'aria-label': 'At most, dollars an hour' };
  const most = el('input', { class: 'short', attributes: { ...attributes, placeholder: '$ an hour' } });
  for (const input of [words, place, kind, most]) input.addEventListener('input', onChange);
  return {
    fields: [words, place, kind, most, free.root],
    lets: (offer: Offer): boolean =>
      matches(offer, words.value) &&
      (place.value === '' || offer.backend === place.value) &&
      (kind.value === '' || offer.spot === (kind.value === 'spot')) &&
      (!free.input.checked || isFree(offer)) &&
      (most.value === '' || offer.pricePerHour <= Number(most.value)),
  };
}

function matches({ gpu = '', instanceType = '', backend, region = '', resources = '' }: Offer, words: string): boolean {
  const text = `${gpu} ${instanceType} ${backend} ${region} ${resources}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function showKinds({ formats }: Card, kinds: readonly GpuKind[]): readonly HTMLElement[] {
  const table = createTable<GpuKind>({
    caption: 'Kinds of GPU',
    empty: 'No offers match.',
    keyOf: ({ gpu, backends }, index) => `${gpu} ${backends} ${index}`,
    columns: [
      {
        key: 'machine',
        label: 'GPU',
        sortBy: ({ gpu }) => gpu,
        cell: ({ gpu, backends }) => [data(describeGpu(gpu), 60), el('span', 'sub narrow-only', data(backends, 60))],
      },
      { key: 'where', label: 'Where', sortBy: ({ backends }) => backends, cell: ({ backends }) => data(backends, 120) },
      {
        key: 'price',
        label: 'From, per GPU',
        isNumber: true,
        sortBy: ({ priceMin }) => priceMin,
        cell: ({ priceMin }) => formats.money(priceMin),
      },
      {
        key: 'total',
        label: 'To',
        isNumber: true,
        sortBy: ({ priceMax }) => priceMax,
        cell: ({ priceMax }) => formats.money(priceMax),
      },
    ],
  });
  table.setRows(kinds);
  const bars = kinds.slice(0, MOST_BARS).map(({ gpu, priceMin, priceMax }) => ({
    label: describeGpu(gpu.replace(/:[\d.]+$/, '')),
    low: priceMin,
    high: priceMax,
  }));
  return [el('section', 'part', el('h2', {}, 'Per hour and GPU'), drawPrices(bars, formats.money)), table.root];
}

const createSearch = (label: string): HTMLInputElement =>
  el('input', {
    class: 'search',
    attributes: { type: 'search', placeholder: label, 'aria-label': label, autocomplete: 'off' },
  });

function createChoice(label: string, choices: readonly string[]): HTMLSelectElement {
  const options = choices.map((choice) => el('option', { attributes: { value: choice } }, shorten(choice, 30)));
  return el(
    'select',
    { attributes: { 'aria-label': label } },
    el('option', { attributes: { value: '' } }, `${label}: any`),
    ...options,
  );
}
