import { ToolError } from '../../core/errors.ts';
import { formatDollars } from '../../core/format-values.ts';

/** The three limits on money; each may be missing. */
export interface Caps {
  /** Dollars an hour for one run or fleet, all nodes together. */
  readonly maxPrice?: number | undefined;
  /** Dollars for one run in total. */
  readonly maxTotal?: number | undefined;
  /** Dollars an hour for everything that is active, the new one included. */
  readonly maxActive?: number | undefined;
}

/** What a change would cost. `undefined` means that it couldn't be read. */
export interface Cost {
  readonly hourly: number | undefined;
  /** Price times `max_duration`; `unbounded` without one; `not-a-run` for fleets, volumes and gateways. */
  readonly total: number | 'unbounded' | 'not-a-run' | undefined;
  /** Dollars an hour of what is active and stays active. */
  readonly activeHourly: number | undefined;
}

/** Whether a change fits the caps. A price that can't be read while a cap is set is a refusal. */
export function checkCaps(cost: Cost, caps: Caps): ToolError | undefined {
  const hourly = asPrice(cost.hourly);
  if (
    hourly === undefined &&
    (caps.maxPrice !== undefined || caps.maxTotal !== undefined || caps.maxActive !== undefined)
  ) {
    return unreadable('The price an hour');
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
    `It would cost ${formatDollars(hourly)} an hour; the cap for one run is ${formatDollars(cap)}`,
    'Choose smaller or fewer resources',
  );
}

function checkTotal(total: Cost['total'], cap: number | undefined): ToolError | undefined {
  if (cap === undefined || total === 'not-a-run') return undefined;
  if (total === 'unbounded') {
    return tooHigh(
      `The cap for one run in total is ${formatDollars(cap)}, and the run has no max_duration, so it has no limit`,
      'Set max_duration',
    );
  }
  const price = asPrice(total);
  if (price === undefined) return unreadable('The price in total');
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
  if (active === undefined || hourly === undefined) return unreadable('The price of what is active');
  if (active + hourly <= cap) return undefined;
  return tooHigh(
    `${formatDollars(active)} an hour is active; with ${formatDollars(hourly)} more it would pass the cap of ${formatDollars(cap)} for everything together`,
    'Ask the user what may be stopped first',
  );
}

/** A price that is no number, negative or without end is no price. */
const asPrice = (value: number | undefined): number | undefined =>
  value !== undefined && Number.isFinite(value) && value >= 0 ? value : undefined;

const tooHigh = (what: string, next: string): ToolError =>
  new ToolError('price-cap', `${what}. Nothing was submitted.`, `${next}, then plan again.`);

const unreadable = (what: string): ToolError =>
  new ToolError(
    'price-cap',
    `${what} can't be read from what dstack shows, and a cap is set. Nothing was submitted.`,
    'Choose resources for which dstack shows a price, then plan again.',
  );
