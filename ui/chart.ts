import type { PriceBar } from './card-facts.ts';
import { el, svg } from './dom.ts';
import { formatPriceRange } from './format.ts';
import { shorten } from './visible-text.ts';

const WIDTH = 240;
const HEIGHT = 48;
const SINGLE_SAMPLE_WIDTH = 12;

/** Draws values from 0 to 1 as a line over a filled area, the latest on the right, with a text alternative. */
export function drawHistory(values: readonly number[], label: string): HTMLElement {
  // A single sample is drawn as a short line, since a point would be invisible.
  const drawn = values.length === 1 ? [...values, ...values] : values;
  const from = values.length === 1 ? WIDTH - SINGLE_SAMPLE_WIDTH : 0;
  const step = (WIDTH - from) / Math.max(1, drawn.length - 1);
  const points = drawn.map((value, index) => {
    const x = from + index * step;
    return `${x.toFixed(1)},${(HEIGHT - 2 - value * (HEIGHT - 4)).toFixed(1)}`;
  });
  const [first = ''] = points;
  const drawing = svg(
    'svg',
    {
      class: 'history',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
    },
    svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
    ...(points.length > 1
      ? [
          svg('polygon', {
            class: 'area',
            points: [`${first.split(',')[0] ?? 0},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(' '),
          }),
          svg('polyline', { class: 'curve', points: points.join(' ') }),
        ]
      : []),
  );
  return el('div', 'history-frame', drawing);
}

const MAX_BAR_WIDTH = 100;

/** Draws prices as bars: solid up to the lowest price, lighter up to the highest. */
export function drawPrices(bars: readonly PriceBar[]): HTMLElement {
  const max = Math.max(...bars.map(({ high }) => high), 0.000_001);
  const drawBar = (name: string, price: number): SVGRectElement =>
    svg('rect', { class: name, x: 0, y: 1, height: 6, rx: 1, width: Math.max(1, (price / max) * MAX_BAR_WIDTH) });
  return el(
    'ol',
    'prices',
    ...bars.map(({ label, low, high }) =>
      el(
        'li',
        {},
        el('span', 'price-label', shorten(label, 40)),
        svg(
          'svg',
          { class: 'price-bar', viewBox: `0 0 ${MAX_BAR_WIDTH} 8`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
          drawBar('bar-high', high),
          drawBar('bar-low', low),
        ),
        el('span', 'price-value', formatPriceRange(low, high)),
      ),
    ),
  );
}
