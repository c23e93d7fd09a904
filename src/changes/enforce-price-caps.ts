import * as z from 'zod';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import { ToolError } from '../core/errors.ts';
import { isRunType } from '../core/dstack-terms.ts';
import type { Cost } from '../core/format-values.ts';
import { checkCaps } from '../safety/policy/price-caps.ts';
import type { Caps } from '../safety/policy/price-caps.ts';

/**
 * Returns the price cap that dstack enforces as well, in USD per hour for one node: the lowest of the cap's share, the file's own
 * `max_price` and the requested one. On the command line it overrides the file, so it must never be higher.
 * @throws ToolError `invalid-value` if the requested one isn't a price: the cap must not silently take its place.
 */
export function maxPriceFlag(
  caps: Caps,
  head: ConfigurationHead,
  extraFlags: Readonly<Record<string, unknown>>,
): { extraFlags: Readonly<Record<string, unknown>>; priceFlag: number | undefined } {
  if (caps.maxPrice === undefined) return { extraFlags, priceFlag: undefined };
  const { '--max-price': requested, ...others } = extraFlags;
  const share = caps.maxPrice / Math.max(1, head.copies ?? 1);
  const inFile = price.safeParse(head.value['max_price'] ?? undefined).data ?? share;
  const asked = requested === undefined ? share : readRequestedPrice(requested);
  // Rounded down, so that the sum over all nodes stays below the cap.
  return { extraFlags: others, priceFlag: Math.floor(Math.min(share, inFile, asked) * 10_000) / 10_000 };
}

const price = z.coerce.number<string | number>().nonnegative();
const requestedPrice = z.union([z.number(), z.string().trim().min(1)]).pipe(price);

function readRequestedPrice(value: unknown): number {
  const { data } = requestedPrice.safeParse(value);
  if (data !== undefined) return data;
  throw new ToolError(
    'invalid-value',
    "The value of --max-price isn't a price. Nothing was run.",
    'Pass US dollars per hour as a number, as in 0.5.',
  );
}

/**
 * Enforces the operator's price caps on a plan, except for `max_active`, which depends on other changes (`assertRoom`).
 * @throws ToolError `price-cap`, also if a cap is set and the price can't be read.
 */
export function enforcePriceCaps({ maxPrice, maxTotal }: Caps, { type }: ConfigurationHead, cost: Cost): void {
  const refusal = checkCaps(
    {
      hourly: cost.mostPerHour,
      total: isRunType(type) ? cost.mostInTotal : 'not-a-run',
      activeHourly: undefined,
    },
    { maxPrice, maxTotal },
  );
  if (refusal !== undefined) throw refusal;
}
