import { formatDollars, formatDuration, formatPrice } from './format-values.ts';

/** An upper limit in dollars. `unknown` is never treated as a small amount. */
export type Limit = number | 'unlimited' | 'unknown';

/** The maximum cost of a change. */
export interface Cost {
  /** Dollars per hour of all machines at the offer that would be used now; absent if that isn't known. */
  readonly pricePerHour?: number;
  /** The most that it can cost per hour: all machines at the highest price. */
  readonly mostPerHour: Limit;
  /** The most that it can cost until it ends. */
  readonly mostInTotal: Limit;
  /** The time that the total is for: running, stopping and idling. Present if all of it has a limit. */
  readonly hours?: number;
}

const UNKNOWN = 'unknown price';

/** Describes a cost in the words of the plan, the question and the card: `$0.39/h (up to $0.78/h), at most $1.69 in 2h 10m`. */
export function describeCost({ pricePerHour, mostPerHour, mostInTotal, hours }: Cost): string {
  if (pricePerHour === undefined && mostPerHour === 'unknown')
    return mostInTotal === 'unlimited' ? `${UNKNOWN}, no limit in total` : UNKNOWN;
  const total = { unlimited: 'no limit in total', unknown: 'unknown in total' };
  const time = hours === undefined ? 'total' : formatDuration(hours * 3_600_000);
  return [
    describeHour(pricePerHour, mostPerHour),
    typeof mostInTotal === 'number' ? `at most ${formatDollars(mostInTotal)} in ${time}` : total[mostInTotal],
  ].join(', ');
}

function describeHour(pricePerHour: number | undefined, most: Limit): string {
  const words = { unlimited: 'no limit per hour', unknown: 'unknown maximum' };
  const limit = typeof most === 'number' ? `up to ${formatPrice(most)}` : words[most];
  if (pricePerHour === undefined) return limit;
  if (pricePerHour === 0 && most !== 0) return `$0 now, ${limit}`;
  return pricePerHour === most ? formatPrice(most) : `${formatPrice(pricePerHour)} (${limit})`;
}
