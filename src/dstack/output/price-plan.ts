import * as z from 'zod';
import { isRecord } from '../../core/values.ts';
import { omitAbsent } from './read-json-output.ts';
import { isAvailable } from './read-offers.ts';
import type { Offers } from './read-offers.ts';

/** A number of machines. Without `max`, there is no known upper limit. */
export interface Count {
  readonly min: number;
  readonly max?: number;
}

/** The price of a plan in dollars. Amounts that aren't certain are absent. */
export interface PlanPrice {
  /** One machine per hour: the first offer that is available now. */
  readonly perHour?: number;
  readonly perHourMin?: number;
  /** The highest price of all offers, including those that aren't shown. */
  readonly perHourMax?: number;
  /** All machines that start at once, at `perHour`. */
  readonly perHourAtStart?: number;
  /** The maximum number of machines, at `perHour`. */
  readonly perHourAll?: number;
  /** False if parts of the plan have separate offers that dstack doesn't show (groups of replicas or nodes). */
  readonly isWhole: boolean;
}

/** Reads the numbers that a pattern finds: without the second one, it is exactly the first; anything but a number is an open end. */
function readCount(pattern: RegExp, text: string | undefined): Count | undefined {
  const [, min, max = min] = pattern.exec(text ?? '') ?? [];
  return min === undefined || max === undefined
    ? undefined
    : { min: Number(min), ...(/^\d+$/.test(max) ? { max: Number(max) } : {}) };
}

const bounds = z.looseObject({ min: z.number().nullish(), max: z.number().nullish() });

/** Parses the replicas as a configuration states them: `2`, `1..4`, `2..`, `{min, max}`. */
function readReplicas(replicas: unknown): Count | undefined {
  const { data } = bounds.safeParse(replicas);
  if (data !== undefined) return omitAbsent({ min: data.min ?? 0, max: data.max });
  if (typeof replicas !== 'number' && typeof replicas !== 'string') return undefined;
  return readCount(/^(\d+)(?:\.\.(\d*))?$/, String(replicas));
}

/** Returns how many machines a plan needs, from its text or else from the configuration; undefined if neither says so clearly. */
export function countMachines(
  kind: string,
  properties: Readonly<Record<string, string>>,
  configuration: unknown,
): Count | undefined {
  switch (kind) {
    case 'task':
      return readCount(/^task \(nodes=(\d+)\)$/, properties['Type']);
    case 'fleet':
      // `target` nodes are created when the fleet is applied; `min` nodes are maintained afterwards. SSH fleets have a plain number.
      return readCount(/^(?:min=\d+ target=)?(\d+)(?: max=(\d+|None))?$/, properties['Nodes']);
    case 'gateway':
      return readCount(/^(\d+)$/, properties['Replicas'] ?? '1');
    case 'service':
      return isRecord(configuration) ? readReplicas(configuration['replicas'] ?? 1) : undefined;
    case 'dev-environment':
    case 'volume':
      return { min: 1, max: 1 };
    default:
      return undefined;
  }
}

/** Returns whether a configuration has groups with separate resources: a plan shows the offers of the first group only. */
export const hasGroups = (configuration: unknown): boolean =>
  isRecord(configuration) && (Array.isArray(configuration['replicas']) || Array.isArray(configuration['groups']));

/** Calculates the price of a plan from its offers and number of machines. */
export function pricePlan(
  { offers, maxPriceOfAll = 0 }: Offers,
  { count, isWhole }: Pick<PlanPrice, 'isWhole'> & { readonly count: Count | undefined },
): PlanPrice {
  const prices = offers.map((offer) => offer.pricePerHour);
  if (prices.length === 0) return { isWhole };
  const perHour = offers.find(isAvailable)?.pricePerHour;
  // Without binary rounding errors: 3 × 0.39 is 1.17, not 1.1700000000000002.
  const times = (machines: number | undefined): number | undefined =>
    perHour === undefined || machines === undefined || !isWhole ? undefined : Number((perHour * machines).toFixed(6));
  return omitAbsent({
    perHour,
    perHourMin: Math.min(...prices),
    perHourMax: Math.max(...prices, maxPriceOfAll),
    perHourAtStart: times(count?.min),
    perHourAll: times(count?.max),
    isWhole,
  });
}
