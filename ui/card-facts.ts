import { describeGpu } from './format.ts';
import { CARD } from './tool-result.ts';
import type { ToolResult } from './tool-result.ts';
import { factsListOf, numberOf, optional, textOf, textsOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** The consent that a click grants. */
export interface PendingConsent {
  readonly nonce: string;
  readonly expiresAt: number;
  /** The server's clock when it created the result. */
  readonly now: number;
  readonly nameToType?: string;
}

/** A machine that a run can use, with its price. */
export interface Offer {
  readonly backend: string;
  readonly region?: string;
  readonly instanceType?: string;
  readonly resources?: string;
  readonly gpu?: string;
  readonly spot: boolean;
  readonly pricePerHour: number;
  readonly availability: string;
}

/** A GPU model with its price range. */
export interface GpuKind {
  readonly gpu: string;
  readonly priceMin: number;
  readonly priceMax: number;
  readonly backends: string;
}

/** A change that needs approval, or the reasons why it can't be approved. */
export interface ChangeCard {
  readonly operation: string;
  readonly action: string;
  readonly kind: string;
  readonly name?: string;
  readonly project?: string;
  readonly server?: string;
  readonly pricePerHour?: number;
  readonly priceRange?: readonly [number, number];
  /** Its maximum cost, in the words of the plan. */
  readonly price?: string;
  readonly mostPerHour?: number;
  readonly totalPrice?: number;
  readonly hasNoLimit: boolean;
  readonly machines?: { readonly min: number; readonly max?: number };
  /** The time that each machine can cost. */
  readonly time?: { readonly hours: number; readonly text: string };
  readonly flags: readonly string[];
  readonly losses: readonly string[];
  /** The effects of planning after approval; empty for any other change. */
  readonly sends: readonly string[];
  /** The machine that it would get now, which isn't bound. */
  readonly machine?: string;
  /** Access that a run gets in addition to its own container. */
  readonly access: readonly string[];
  readonly warnings: readonly string[];
  readonly changes: readonly string[];
  readonly blockers: readonly { readonly message: string; readonly hint?: string }[];
  readonly offers: readonly Offer[];
  readonly offersTotal: number;
  readonly consent?: PendingConsent;
}

/** The view that shows a result. */
export type CardView = 'change' | 'runs' | 'run' | 'offers' | 'use' | 'none';

const VIEWS: readonly CardView[] = ['change', 'runs', 'run', 'offers', 'use'];

/** Returns the view for a result: the one that the server names, otherwise the one that its structured content fits. */
export function readView({ meta, facts }: ToolResult): CardView {
  const named = textOf(toFacts(meta[CARD]), 'view');
  const view = VIEWS.find((one) => one === named);
  if (view !== undefined) return view;
  if (facts['operation'] !== undefined && textOf(facts, 'consent') === undefined) return 'change';
  if (Array.isArray(facts['runs'])) return 'runs';
  if (facts['run'] !== undefined) return 'run';
  if (Array.isArray(facts['offers']) || Array.isArray(facts['gpus'])) return 'offers';
  return 'none';
}

/** Returns the data that the server sends only to the card. */
export const cardOf = ({ meta }: ToolResult): Facts => toFacts(meta[CARD]);

/** Reads a change with its consent and its plan. */
export function readChange(result: ToolResult): ChangeCard {
  const { facts } = result;
  const card = cardOf(result);
  const summary = toFacts(card['summary']);
  const resource = toFacts(summary['resource'] ?? facts['resource']);
  const offers = readOffers(Array.isArray(card['offers']) ? card : facts);
  const [low, high] = Array.isArray(facts['priceRange']) ? facts['priceRange'] : [];
  const machines = toFacts(card['machines']);
  const min = numberOf(machines, 'min');
  const time = toFacts(card['time']);
  const hours = numberOf(time, 'hours');
  const consent = readConsent(card);
  const operation = textOf(card, 'operation') ?? textOf(facts, 'operation') ?? 'unknown';
  return {
    operation,
    action: textOf(summary, 'action') ?? textOf(facts, 'summary') ?? '',
    kind: textOf(resource, 'kind') ?? 'resource',
    ...optional('name', textOf(resource, 'name')),
    ...optional('project', textOf(summary, 'project') ?? textOf(facts, 'project')),
    ...optional('server', textOf(summary, 'server')),
    ...optional('pricePerHour', numberOf(summary, 'pricePerHour') ?? numberOf(facts, 'pricePerHour')),
    ...optional('price', textOf(summary, 'price')),
    ...optional('mostPerHour', numberOf(facts, 'mostPerHour')),
    hasNoLimit: textOf(summary, 'totalPrice') === 'unlimited',
    ...optional('totalPrice', numberOf(summary, 'totalPrice') ?? numberOf(facts, 'totalPrice')),
    ...(typeof low === 'number' && typeof high === 'number' ? { priceRange: [low, high] as const } : {}),
    ...(min === undefined ? {} : { machines: { min, ...optional('max', numberOf(machines, 'max')) } }),
    ...(hours === undefined ? {} : { time: { hours, text: textOf(time, 'text') ?? `${hours}h` } }),
    flags: textsOf(summary, 'flags'),
    losses: textsOf(summary, 'losses'),
    ...optional('machine', textOf(summary, 'machine')),
    access: textsOf(summary, 'access'),
    sends: operation === 'send' ? textsOf(summary, 'sends') : [],
    warnings: [...new Set([...textsOf(summary, 'warnings'), ...textsOf(facts, 'warnings')])],
    changes: textsOf(facts, 'changes'),
    blockers: factsListOf(facts, 'blockers').map((blocker) => ({
      message: textOf(blocker, 'message') ?? 'unknown',
      ...optional('hint', textOf(blocker, 'hint')),
    })),
    offers,
    offersTotal: numberOf(card, 'offersTotal') ?? offers.length,
    ...optional('consent', consent),
  };
}

function readConsent(card: Facts): PendingConsent | undefined {
  const nonce = textOf(card, 'nonce');
  const expiresAt = instantOf(card, 'expiresAt');
  if (nonce === undefined || expiresAt === undefined) return undefined;
  const now = instantOf(card, 'now') ?? Date.now();
  return { nonce, expiresAt, now, ...optional('nameToType', textOf(card, 'nameToType')) };
}

function instantOf(facts: Facts, key: string): number | undefined {
  const at = numberOf(facts, key) ?? Date.parse(textOf(facts, key) ?? '');
  return Number.isNaN(at) ? undefined : at;
}

/** Reads the offers of a plan or a search. Skips offers without a price. */
export function readOffers(facts: Facts): readonly Offer[] {
  return factsListOf(facts, 'offers').flatMap((offer) => {
    const pricePerHour = numberOf(offer, 'pricePerHour');
    if (pricePerHour === undefined) return [];
    return {
      backend: textOf(offer, 'backend') ?? '',
      ...optional('region', textOf(offer, 'region')),
      ...optional('instanceType', textOf(offer, 'instanceType')),
      ...optional('resources', textOf(offer, 'resources')),
      ...optional('gpu', textOf(offer, 'gpu')),
      spot: offer['spot'] === true,
      pricePerHour,
      availability: textOf(offer, 'availability') ?? 'unclear',
    };
  });
}

/** Reads the GPU models of a search that is grouped by GPU. */
export function readGpuKinds(facts: Facts): readonly GpuKind[] {
  return factsListOf(facts, 'gpus').flatMap((kind) => {
    const gpu = textOf(kind, 'gpu');
    const priceMin = numberOf(kind, 'pricePerGpuMin');
    if (gpu === undefined || priceMin === undefined) return [];
    const priceMax = numberOf(kind, 'pricePerGpuMax') ?? priceMin;
    return { gpu, priceMin, priceMax, backends: textOf(kind, 'backends') ?? '' };
  });
}

/** One bar of a price chart. */
export interface PriceBar {
  readonly label: string;
  readonly low: number;
  readonly high: number;
}

/** The number of bars that fit into the chart. */
export const MAX_BARS = 8;

/** Returns the lowest and highest price per GPU for each GPU model, cheapest first. */
export function barsOf(offers: readonly Offer[]): readonly PriceBar[] {
  const bars = new Map<string, PriceBar>();
  for (const { gpu, pricePerHour } of offers) {
    const label = gpu === undefined ? 'no GPU' : describeGpu(gpu.replace(/:\d+$/, ''));
    const count = Number(/:(\d+)$/.exec(gpu ?? '')?.[1] ?? 1);
    const price = pricePerHour / Math.max(1, count);
    const known = bars.get(label);
    bars.set(label, { label, low: Math.min(known?.low ?? price, price), high: Math.max(known?.high ?? price, price) });
  }
  return [...bars.values()].sort((a, b) => a.low - b.low).slice(0, MAX_BARS);
}
