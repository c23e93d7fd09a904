import * as z from 'zod';
import { canBeTaken } from './read-offers.ts';
import type { Offers } from './read-offers.ts';

/** A number of machines. Without `max` there is no upper limit, or none that is known. */
export interface Count {
  readonly min: number;
  readonly max?: number;
}

/** What a plan would cost, in dollars. A figure that can't be told for sure is absent. */
export interface PlanPrice {
  /** One machine, an hour: the first offer that can be taken now. */
  readonly perHour?: number;
  readonly perHourMin?: number;
  /** The dearest of all offers, also of those that aren't shown. */
  readonly perHourMax?: number;
  /** All machines that start at once, at `perHour`. */
  readonly perHourAtStart?: number;
  /** All machines that there may ever be at once, at `perHour`. */
  readonly perHourAll?: number;
  /** All machines that there may ever be at once, each at the dearest offer: no more can be spent in an hour. */
  readonly perHourAtMost?: number;
  /** `perHourAtMost` over the longest time that it may run. */
  readonly totalAtMost?: number;
  /** False where parts of the plan have offers of their own that dstack doesn't show (groups of replicas or nodes). */
  readonly isWhole: boolean;
}

const range = z.union([
  z.number(),
  z.string().regex(/^\d+(?:\.\.\d*)?$/),
  z.looseObject({ min: z.number().nullish(), target: z.number().nullish(), max: z.number().nullish() }),
]);

const configurationCounts = z.looseObject({
  replicas: z.unknown().optional(),
  groups: z.unknown().optional(),
});

/** `2`, `1..4`, `2..`, `{min, max}`: the ways in which a configuration says a number of machines. */
function readRange(value: unknown): Count | undefined {
  const parsed = range.safeParse(value);
  if (!parsed.success) return undefined;
  if (typeof parsed.data === 'number') return { min: parsed.data, max: parsed.data };
  if (typeof parsed.data === 'object') {
    const { min, target, max } = parsed.data;
    return { min: target ?? min ?? 0, ...(typeof max === 'number' ? { max } : {}) };
  }
  const [min = '', max] = parsed.data.split('..');
  if (max === undefined) return { min: Number(min), max: Number(min) };
  return { min: Number(min), ...(max === '' ? {} : { max: Number(max) }) };
}

/** `task (nodes=2)`, as utils/run.py prints the type. */
function readTaskNodes(type: string): Count | undefined {
  const nodes = /^task \(nodes=(\d+)\)$/.exec(type)?.[1];
  return nodes === undefined ? undefined : { min: Number(nodes), max: Number(nodes) };
}

/** `min=0 target=0 max=2`, as a fleet's plan prints its nodes; a plain number for SSH fleets. */
function readFleetNodes(nodes: string): Count | undefined {
  const spec = /^min=\d+ target=(\d+) max=(\d+|None)$/.exec(nodes);
  const plain = /^\d+$/.exec(nodes)?.[0];
  if (plain !== undefined) return { min: Number(plain), max: Number(plain) };
  if (spec === null) return undefined;
  // `target` nodes are made when the fleet is applied; `min` is what is kept up afterwards.
  return { min: Number(spec[1]), ...(spec[2] === 'None' ? {} : { max: Number(spec[2]) }) };
}

/** How many machines a plan is for: from its text, else from the configuration. Undefined where neither says it plainly. */
export function countMachines(
  kind: string,
  properties: Readonly<Record<string, string>>,
  configuration: unknown,
): Count | undefined {
  const parsed = configurationCounts.safeParse(configuration);
  switch (kind) {
    case 'task':
      return readTaskNodes(properties['Type'] ?? '');
    case 'fleet':
      return readFleetNodes(properties['Nodes'] ?? '');
    case 'gateway':
      return readRange(Number(properties['Replicas'] ?? 1));
    case 'service':
      if (!parsed.success) return undefined;
      return readRange(parsed.data.replicas ?? 1);
    case 'dev-environment':
    case 'volume':
      return { min: 1, max: 1 };
    default:
      return undefined;
  }
}

/** True where a configuration has groups, each with resources of its own: a plan shows the offers of the first only. */
export function hasGroups(configuration: unknown): boolean {
  const parsed = configurationCounts.safeParse(configuration);
  return parsed.success && (Array.isArray(parsed.data.replicas) || Array.isArray(parsed.data.groups));
}

/** The facts that a price is made of. */
export interface PriceBasis {
  readonly offers: Offers;
  readonly count: Count | undefined;
  readonly maxDurationHours: number | undefined;
  readonly isWhole: boolean;
}

/** Works out what a plan would cost from its offers, its number of machines and its longest duration. */
export function pricePlan({
  offers: { offers, maxPriceOfAll },
  count,
  maxDurationHours,
  isWhole,
}: PriceBasis): PlanPrice {
  const perHour = offers.find(canBeTaken)?.pricePerHour;
  const prices = offers.map((offer) => offer.pricePerHour);
  if (prices.length === 0) return { isWhole };
  const perHourMax = Math.max(...prices, maxPriceOfAll ?? 0);
  const atMost = count?.max === undefined || !isWhole ? undefined : round(perHourMax * count.max);
  return {
    ...(perHour === undefined ? {} : { perHour }),
    perHourMin: Math.min(...prices),
    perHourMax,
    ...(perHour === undefined || count === undefined || !isWhole ? {} : { perHourAtStart: round(perHour * count.min) }),
    ...(perHour === undefined || count?.max === undefined || !isWhole
      ? {}
      : { perHourAll: round(perHour * count.max) }),
    ...(atMost === undefined ? {} : { perHourAtMost: atMost }),
    ...(atMost === undefined || maxDurationHours === undefined
      ? {}
      : { totalAtMost: round(atMost * maxDurationHours) }),
    isWhole,
  };
}

/** Without the digits that binary arithmetic adds: 3 × 0.39 is 1.17, not 1.1700000000000002. */
const round = (dollars: number): number => Number(dollars.toFixed(6));
