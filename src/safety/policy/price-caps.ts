import { ToolError } from '../../core/errors.ts';
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

/** The cost of a change. `undefined` means that it couldn't be read. */
export interface Cost {
  readonly hourly: number | undefined;
  /** Price times `max_duration`; `unbounded` without one; `not-a-run` for fleets, volumes and gateways. */
  readonly total: number | 'unbounded' | 'not-a-run' | undefined;
  /** Dollars per hour of what is active and stays active. */
  readonly activeHourly: number | undefined;
}

/** Returns the refusal of a change that exceeds a cap. If a cap is set, a price that can't be read is refused as well. */
export function checkCaps(cost: Cost, caps: Caps): ToolError | undefined {
  const hourly = asPrice(cost.hourly);
  if (
    hourly === undefined &&
    (caps.maxPrice !== undefined || caps.maxTotal !== undefined || caps.maxActive !== undefined)
  ) {
    return unreadable('The hourly price');
  }
  return (
    checkHourly(hourly, caps.maxPrice) ??
    checkTotal(cost.total, caps.maxTotal) ??
    checkActive(hourly, cost.activeHourly, caps.maxActive)
  );
}

function checkHourly(hourly: number | undefined, cap: number | undefined): ToolError | undefined {
  if (cap === undefined || hourly === undefined || hourly <= cap) return undefined;
  return tooHigh(
    `It would cost ${formatPrice(hourly)}; the cap for one run is ${formatPrice(cap)}`,
    'Choose smaller or fewer resources',
  );
}

function checkTotal(total: Cost['total'], cap: number | undefined): ToolError | undefined {
  if (cap === undefined || total === 'not-a-run') return undefined;
  if (total === 'unbounded') {
    return tooHigh(
      `The cap for the total cost of one run is ${formatDollars(cap)}, but this run has no max_duration, so its cost has no limit`,
      'Set max_duration',
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
const asPrice = (value: number | undefined): number | undefined =>
  value !== undefined && Number.isFinite(value) && value >= 0 ? value : undefined;

const tooHigh = (what: string, next: string): ToolError =>
  new ToolError('price-cap', `${what}. Nothing was submitted.`, `${next}, then plan again.`);

const unreadable = (what: string): ToolError =>
  new ToolError(
    'price-cap',
    `${what} can't be read from dstack's output, and a cap is set. Nothing was submitted.`,
    'Choose resources for which dstack shows a price, then plan again.',
  );
