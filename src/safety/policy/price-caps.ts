import { ToolError } from '../../core/errors.ts';
import type { Limit } from '../../core/format-values.ts';
import { formatDollars, formatPrice } from '../../core/format-values.ts';

/** The three limits on cost. */
export interface Caps {
  /** Dollars per hour for one run or fleet, all nodes together. */
  readonly maxPrice?: number | undefined;
  /** Dollars for one run in total. */
  readonly maxTotal?: number | undefined;
  /** Dollars per hour for everything active in the project, the new one included. */
  readonly maxActive?: number | undefined;
}

/** The upper limits of a change's cost, in dollars. */
export interface CappedCost {
  readonly hourly: Limit;
  /** `not-a-run` for fleets, volumes and gateways, which stay until they are deleted. */
  readonly total: Limit | 'not-a-run';
  /** Dollars per hour of what is active and stays active; undefined if that couldn't be read. */
  readonly activeHourly: number | undefined;
}

/** Returns the refusal of a change that exceeds a cap. If a cap is set, a price that can't be read is refused as well. */
export function checkCaps(cost: CappedCost, caps: Caps): ToolError | undefined {
  const hourly = asPrice(cost.hourly);
  if (hourly === undefined && hasCaps(caps))
    return cost.hourly === 'unlimited' ? openEnd() : unreadable('The hourly price');
  return (
    checkHourly(hourly, caps.maxPrice) ??
    checkTotal(cost.total, caps.maxTotal) ??
    checkActive(hourly, cost.activeHourly, caps.maxActive)
  );
}

/** Whether anything is limited. */
const hasCaps = (caps: Caps): boolean => Object.values(caps).some((cap) => cap !== undefined);

function checkHourly(hourly: number | undefined, cap: number | undefined): ToolError | undefined {
  if (cap === undefined || hourly === undefined || hourly <= cap) return undefined;
  return tooHigh(
    `It would cost ${formatPrice(hourly)}; the cap for one run is ${formatPrice(cap)}`,
    'Choose smaller or fewer resources',
  );
}

function checkTotal(total: CappedCost['total'], cap: number | undefined): ToolError | undefined {
  if (cap === undefined || total === 'not-a-run') return undefined;
  if (total === 'unlimited') {
    return tooHigh(
      `The cap for the total cost of one run is ${formatDollars(cap)}, but the total cost of this run has no limit`,
      'Set max_duration, limit idle_duration and stop_duration, fix the number of replicas, and set neither schedule nor retry',
    );
  }
  const price = asPrice(total);
  if (price === undefined) return unreadable('The total price');
  if (price <= cap) return undefined;
  return tooHigh(
    `It would cost up to ${formatDollars(price)} in total; the cap for one run is ${formatDollars(cap)}`,
    'Set a shorter max_duration or choose smaller resources',
  );
}

function checkActive(
  hourly: number | undefined,
  activeHourly: number | undefined,
  cap: number | undefined,
): ToolError | undefined {
  if (cap === undefined) return undefined;
  const active = asPrice(activeHourly);
  if (active === undefined || hourly === undefined) return unreadable('The price of active resources');
  if (active + hourly <= cap) return undefined;
  return tooHigh(
    `Active resources cost ${formatPrice(active)}; another ${formatPrice(hourly)} would exceed the cap of ${formatPrice(cap)} for the whole project`,
    'Ask the user what to stop first',
  );
}

/** Returns a valid price; undefined for NaN, infinity and negative numbers. */
const asPrice = (value: Limit | undefined): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;

const tooHigh = (what: string, next: string): ToolError =>
  new ToolError('price-cap', `${what}. Nothing was submitted.`, `${next}, then plan again.`);

const openEnd = (): ToolError =>
  tooHigh(
    'The number of machines has no upper limit, so neither has the price, and a cap is set',
    'Set an upper limit for nodes or replicas',
  );

const unreadable = (what: string): ToolError =>
  new ToolError(
    'price-cap',
    `${what} can't be read from dstack's output, and a cap is set. Nothing was submitted.`,
    'Choose resources for which dstack shows a price, then plan again. It shows none for volumes and gateways, nor what a profile adds with schedule or stop_duration.',
  );
