import { el, svg } from './dom.ts';
import { shorten } from './visible-text.ts';
import type { PriceBar } from './price-bars.ts';

const WIDTH = 240;
const HEIGHT = 48;
const ONE_SAMPLE = 12;

/** Draws shares of one as a line over a filled ground, the latest at the right; the words say the same. */
export function drawHistory(values: readonly number[], words: string): HTMLElement {
  // One sample alone is drawn as a short line, since a point wouldn't be seen.
  const drawn = values.length === 1 ? [...values, ...values] : values;
  const from = values.length === 1 ? WIDTH - ONE_SAMPLE : 0;
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
      'aria-label': words,
    },
    svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
    ...(points.length > 1
      ? [
          svg('polygon', {
            class: 'ground',
            points: [`${first.split(',')[0] ?? 0},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(' '),
          }),
          svg('polyline', { class: 'curve', points: points.join(' ') }),
        ]
      : []),
  );
  return el('div', 'history-frame', drawing);
}

const LONGEST = 100;

/** Draws prices as bars from nothing to the lowest, and on, fainter, to the highest. */
export function drawPrices(bars: readonly PriceBar[], toMoney: (dollars: number) => string): HTMLElement {
  const most = Math.max(...bars.map(({ high }) => high), 0.000_001);
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
          { class: 'price-bar', viewBox: `0 0 ${LONGEST} 8`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
          svg('rect', { class: 'bar-high', x: 0, y: 1, height: 6, rx: 1, width: Math.max(1, (high / most) * LONGEST) }),
          svg('rect', { class: 'bar-low', x: 0, y: 1, height: 6, rx: 1, width: Math.max(1, (low / most) * LONGEST) }),
        ),
        el('span', 'price-value', high > low ? `${toMoney(low)} – ${toMoney(high)}` : toMoney(low)),
      ),
    ),
  );
}
