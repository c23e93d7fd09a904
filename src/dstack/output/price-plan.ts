import * as z from 'zod';
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

const range = z.union([
  z.number(),
  z.string().regex(/^\d+(?:\.\.\d*)?$/),
  z.looseObject({ min: z.number().nullish(), target: z.number().nullish(), max: z.number().nullish() }),
]);

const configurationCounts = z.looseObject({
  replicas: z.unknown().optional(),
  groups: z.unknown().optional(),
});

/** Parses a number of machines as a configuration states it: `2`, `1..4`, `2..`, `{min, max}`. */
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

/** Parses `task (nodes=2)`, as utils/run.py prints the type. */
function readTaskNodes(type: string): Count | undefined {
  const nodes = /^task \(nodes=(\d+)\)$/.exec(type)?.[1];
  return nodes === undefined ? undefined : { min: Number(nodes), max: Number(nodes) };
}

/** Parses `min=0 target=0 max=2`, as a fleet's plan prints its nodes, or a plain number for SSH fleets. */
function readFleetNodes(nodes: string): Count | undefined {
  const spec = /^min=\d+ target=(\d+) max=(\d+|None)$/.exec(nodes);
  const plain = /^\d+$/.exec(nodes)?.[0];
  if (plain !== undefined) return { min: Number(plain), max: Number(plain) };
  if (spec === null) return undefined;
  // `target` nodes are created when the fleet is applied; `min` nodes are maintained afterwards.
  return { min: Number(spec[1]), ...(spec[2] === 'None' ? {} : { max: Number(spec[2]) }) };
}

/** Returns how many machines a plan needs, from its text or else from the configuration; undefined if neither says so clearly. */
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

/** Returns whether a configuration has groups with separate resources: a plan shows the offers of the first group only. */
export function hasGroups(configuration: unknown): boolean {
  const parsed = configurationCounts.safeParse(configuration);
  return parsed.success && (Array.isArray(parsed.data.replicas) || Array.isArray(parsed.data.groups));
}

export interface PriceBasis {
  readonly offers: Offers;
  readonly count: Count | undefined;
  readonly isWhole: boolean;
}

/** Calculates the price of a plan from its offers and number of machines. */
export function pricePlan({ offers: { offers, maxPriceOfAll }, count, isWhole }: PriceBasis): PlanPrice {
  const perHour = offers.find(isAvailable)?.pricePerHour;
  const prices = offers.map((offer) => offer.pricePerHour);
  if (prices.length === 0) return { isWhole };
  return {
    ...(perHour === undefined ? {} : { perHour }),
    perHourMin: Math.min(...prices),
    perHourMax: Math.max(...prices, maxPriceOfAll ?? 0),
    ...(perHour === undefined || count === undefined || !isWhole ? {} : { perHourAtStart: round(perHour * count.min) }),
    ...(perHour === undefined || count?.max === undefined || !isWhole
      ? {}
      : { perHourAll: round(perHour * count.max) }),
    isWhole,
  };
}

/** Removes binary rounding errors: 3 × 0.39 is 1.17, not 1.1700000000000002. */
const round = (dollars: number): number => Number(dollars.toFixed(6));
