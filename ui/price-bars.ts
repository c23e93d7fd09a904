import type { Offer } from './card-facts.ts';
import { describeGpu } from './format.ts';

/** One bar of a chart of prices. */
export interface PriceBar {
  readonly label: string;
  readonly low: number;
  readonly high: number;
}

/** Kinds that a small chart can hold. */
export const MOST_BARS = 8;

/** The cheapest and the dearest price of each GPU, the cheapest kinds first. */
export function barsOf(offers: readonly Offer[]): readonly PriceBar[] {
  const bars = new Map<string, PriceBar>();
  for (const { gpu, pricePerHour } of offers) {
    const label = gpu === undefined ? 'no GPU' : describeGpu(gpu.replace(/:\d+$/, ''));
    const count = Number(/:(\d+)$/.exec(gpu ?? '')?.[1] ?? 1);
    const price = pricePerHour / Math.max(1, count);
    const known = bars.get(label);
    bars.set(label, { label, low: Math.min(known?.low ?? price, price), high: Math.max(known?.high ?? price, price) });
  }
  return [...bars.values()].sort((a, b) => a.low - b.low).slice(0, MOST_BARS);
}
