import { isRunType } from '../core/dstack-terms.ts';
import { formatPrice, isRecord, plural, readDurationHours } from '../core/values.ts';
import type { Cost, Limit } from '../core/values.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import { withoutQuestion } from '../dstack/output/plan-text.ts';
import type { Obstacle, PlanFacts } from '../dstack/output/read-plan.ts';
import { liveReplicas, readRun } from '../dstack/output/read-state.ts';
import { nameOf, planFacts } from './apply-plan.ts';
import type { ApplyAction, ApplyPlan } from './apply-plan.ts';
import { explainNoOffers } from './explain-no-offers.ts';
import type { PlanScope, SettledPlan } from './planned-change.ts';

/** A dstack that plans in another way than those that are known: what it would send can't be compared with what was approved. */
export const cannotVerify = (planned: ApplyPlan, printed: SettledPlan['printed']): SettledPlan => ({
  kind: 'settled',
  printed,
  facts: planFacts(planned, boundCost(planned, 'create')),
  outcome: 'unknown',
  summary: "This server doesn't recognize the requests of the installed dstack, so it can't apply the plan.",
  next: 'Show the plan to the user. doctor shows which dstack is used; a newer dstack-mcp may know it.',
});

/** Adds to a plan without offers which constraint excludes them, and the best offer without it. */
export async function withReasons(
  { dstack, policy }: PlanScope,
  planned: ApplyPlan,
  settled: SettledPlan,
): Promise<SettledPlan> {
  const { plan, head, request, file } = planned;
  if (!isRunType(head.type) || !plan.blockers.some(({ code }) => code === 'no-offers')) return settled;
  const { extraFlags = {}, project } = request;
  const { maxPrice } = policy.caps;
  const own = [head.value['max_price'], extraFlags['--max-price']].map(Number).filter(Number.isFinite);
  const isCapped = maxPrice !== undefined && !own.some((price) => price <= maxPrice);
  const reasons = await explainNoOffers(dstack, {
    properties: plan.properties,
    configuration: head.value,
    flags: extraFlags,
    project,
    cwd: file.folder,
    cap: isCapped
      ? `this server's price cap of ${formatPrice(maxPrice)}, which only the operator can change`
      : undefined,
  });
  if (reasons === undefined) return settled;
  return {
    ...settled,
    summary:
      "It can't run right now: No matching instance offers available. The best offers without one of its constraints:",
    details: reasons.map((reason) => `- ${reason}`),
    next: 'Tell the user what would fit, and plan again with what they choose: max_price, spot, gpu or fleet as arguments, anything else in the file. A `retry` with on_events [no-capacity] lets the run wait instead.',
  };
}

/** Reports a plan with nothing to consent to. */
export function settle(planned: ApplyPlan, printed: SettledPlan['printed']): SettledPlan {
  const { plan } = planned;
  const [blocker] = plan.blockers;
  const common = {
    kind: 'settled',
    // A question in unknown words is what the user should see.
    printed: plan.action === 'unknown' ? printed : printed.map(withoutQuestion),
    facts: planFacts(planned, boundCost(planned, 'create')),
  } as const;
  const next = blocker?.hint ?? 'Show the output to the user.';
  if (plan.action === 'none')
    return {
      ...common,
      outcome: 'nothing-to-do',
      summary: `${nameOf(planned)} already matches the configuration.`,
      next: 'Nothing has to be applied. See its state with get.',
    };
  if (plan.action === 'unknown')
    return {
      ...common,
      outcome: 'unknown',
      summary: `This server doesn't recognize what the plan would do, so it can't be applied: ${blocker?.message ?? ''}`,
      next,
    };
  return { ...common, outcome: 'blocked', summary: `It can't run right now: ${blocker?.message ?? ''}`, next };
}

type Plan = Pick<ApplyPlan, 'plan' | 'head' | 'profileTexts'>;

/**
 * Returns what applying a plan can cost: the one upper limit that price caps, policy, question, card and summary use. It counts all
 * machines up to the end of their range, at the highest price of all offers. What dstack doesn't say is `unknown`, never 0.
 */
export function boundCost(planned: Plan, action: ApplyAction): Cost {
  const { plan, head } = planned;
  // An SSH fleet's own machines cost nothing through dstack.
  if (head.type === 'fleet' && isRecord(head.value['ssh_config']) && plan.offers.length === 0)
    return { pricePerHour: 0, mostPerHour: 0, mostInTotal: 0 };
  const mostPerHour = limitPerHour(plan, head.type === 'service' && action === 'update' ? 1 : 0);
  const pricePerHour = expectedPrice(plan, action);
  const hours = limitHours(planned);
  return {
    ...(pricePerHour === undefined ? {} : { pricePerHour }),
    mostPerHour,
    mostInTotal: limitTotal(mostPerHour, hours),
    ...(typeof hours === 'number' ? { hours } : {}),
  };
}

/** Returns the price of all machines at the first offer, or of those at the start if their number is open or none. */
function expectedPrice({ price }: PlanFacts, action: ApplyAction): number | undefined {
  if (!price.isWhole) return undefined;
  // After an update, existing machines remain.
  if (price.perHourAtStart === 0 && action === 'create') return 0;
  const atStart = price.perHourAtStart === 0 ? undefined : price.perHourAtStart;
  return price.perHourAll ?? atStart ?? price.perHour;
}

/** A rolling deployment runs `surge` replicas in addition (ROLLING_DEPLOYMENT_MAX_SURGE, pipeline_tasks/runs/active.py). */
function limitPerHour({ price, count }: PlanFacts, surge: number): Limit {
  const { perHourMax, isWhole } = price;
  if (perHourMax === undefined || count === undefined || !isWhole) return 'unknown';
  if (perHourMax === 0) return 0;
  return count.max === undefined ? 'unlimited' : Number((perHourMax * (count.max + surge)).toFixed(6));
}

/** Rounds up to a cent: the amount that is shown must not be below the limit. */
function limitTotal(perHour: Limit, hours: Limit): Limit {
  if (perHour === 0) return 0;
  if (perHour === 'unlimited' || hours === 'unlimited') return 'unlimited';
  if (perHour === 'unknown' || hours === 'unknown') return 'unknown';
  return Math.ceil(Number((perHour * hours * 100).toFixed(6))) / 100;
}

/** Returns how long the machines of a run can be paid for; fleets, volumes and gateways stay until they are deleted. */
function limitHours({ plan, head: { type, value }, profileTexts }: Plan): Limit {
  if (!isRunType(type)) return 'unlimited';
  const { properties, maxDurationHours, count } = plan;
  const repeats = new Set([
    isUnset(value['schedule']) ? 'once' : 'unlimited',
    // Replicas that are added later have their own duration.
    type === 'service' && count?.min !== count?.max ? 'unlimited' : 'once',
    readRetry(properties['Retry policy']),
    // dstack merges profiles silently, and prints neither of these properties.
    profileTexts.some((text) => /schedule|stop_duration|\\/i.test(text)) ? 'unknown' : 'once',
  ]);
  const parts = [
    maxDurationHours ?? (properties['Max duration'] === 'off' ? 'unlimited' : 'unknown'),
    readStopHours(value['stop_duration']),
    readIdleHours(properties['Idle duration']),
  ];
  if (repeats.has('unlimited') || parts.includes('unlimited')) return 'unlimited';
  if (repeats.has('unknown')) return 'unknown';
  return parts.reduce<Limit>(
    (sum, part) => (typeof sum === 'number' && typeof part === 'number' ? sum + part : 'unknown'),
    0,
  );
}

const isUnset = (value: unknown): boolean => value === undefined || value === null;

/**
 * A retry after an error or an interruption runs again, and its `duration` starts again with each of them (_should_retry_job,
 * pipeline_tasks/runs/active.py). A retry for lack of capacity repeats what never ran.
 */
function readRetry(printed: string | undefined): 'once' | 'unlimited' | 'unknown' {
  if (printed === undefined) return 'unknown';
  return printed === 'off' || /^\d+[smhdw]\[no-capacity\]$/.test(printed) ? 'once' : 'unlimited';
}

/** dstack stops a run gracefully for 5 minutes by default (DEFAULT_STOP_DURATION, core/models/profiles.py). */
function readStopHours(value: unknown): Limit {
  if (isUnset(value) || value === true) return 300 / 3_600;
  if (value === 'off' || value === false) return 'unlimited';
  if (typeof value === 'number') return value >= 0 ? value / 3_600 : 'unknown';
  if (typeof value !== 'string') return 'unknown';
  return readDurationHours(/^\d+$/.test(value) ? `${value}s` : value.replaceAll(' ', '')) ?? 'unknown';
}

/** A machine stays idle for this long after the run. dstack prints `-` for one that is never ended. */
function readIdleHours(printed: string | undefined): Limit {
  return printed === '-' ? 'unlimited' : (readDurationHours(printed) ?? 'unknown');
}

/** The effect of an update in place on the replicas of a service that run now. */
interface UpdateEffect {
  /** One sentence each, without its end; empty if nothing is restarted or ended. */
  readonly losses: readonly string[];
  /** Why it can't be made right now. */
  readonly blocker?: Obstacle;
  /** Whether running replicas may be lost without new ones in their place. It needs the consent of a replacement. */
  readonly mayLoseReplicas: boolean;
}

const NO_EFFECT: UpdateEffect = { losses: [], mayLoseReplicas: false };

/** Properties that dstack changes without a new replica (server/services/runs/spec.py). Any other restarts the replicas of a service. */
const IN_PLACE: ReadonlySet<string> = new Set(['priority', 'scaling', 'gateway', 'https', 'Configuration path']);

/**
 * Returns the effect of an update on running replicas. dstack replaces those of a service one after another: it starts a new replica,
 * and ends an old one once the new one receives traffic. A new replica that finds no machine fails the whole run.
 */
export function readUpdateEffect(
  { plan, head }: Pick<ApplyPlan, 'plan' | 'head'>,
  existing: KnownResource,
): UpdateEffect {
  // dstack updates other runs only where nothing has to be restarted.
  if (head.type !== 'service') return NO_EFFECT;
  const live = liveReplicas(readRun(existing.value).jobs).length;
  const effect = describeReplicas(plan, live);
  if (!effect.startsReplicas) return { ...NO_EFFECT, losses: effect.losses };
  const short = plan.warnings.find(
    ({ code }) => code === 'no-offers' || code === 'no-fleets' || code === 'offers-taken',
  );
  if (short === undefined) return { ...NO_EFFECT, losses: effect.losses };
  const lost = live === 0 ? '' : ` and ${plural(live, 'running replica')} ${live === 1 ? 'is' : 'are'} ended`;
  const { waitsForCapacity } = plan;
  if (waitsForCapacity === undefined)
    return { losses: effect.losses, mayLoseReplicas: true, blocker: noRoom(short, lost) };
  const risk = `if a new replica finds no machine within ${waitsForCapacity}, the run fails${lost}`;
  return { losses: [...effect.losses, risk], mayLoseReplicas: true };
}

function describeReplicas(
  { changes, count }: PlanFacts,
  live: number,
): { readonly losses: readonly string[]; readonly startsReplicas: boolean } {
  const others = changes.filter((name) => !IN_PLACE.has(name));
  if (changes.length > 0 && others.length === 0) return { losses: [], startsReplicas: false };
  if (changes.length > 0 && others.every((name) => name === 'replicas') && count !== undefined) {
    const ended = live - (count.max ?? live);
    const losses =
      ended > 0 ? [`${ended} of ${plural(live, 'running replica')} are ended, because \`replicas\` is lower`] : [];
    return { losses, startsReplicas: count.min > live };
  }
  const which = `${plural(live, 'running replica')} ${live === 1 ? 'is' : 'are'} replaced by new ones`;
  const how = 'one after another: an old one is ended once a new one receives traffic';
  return { losses: live === 0 ? [] : [`${which}, ${how}`], startsReplicas: true };
}

const noRoom = ({ code, message }: Obstacle, lost: string): Obstacle => ({
  code,
  message: `${message.replace(/\.$/, '')}. The update needs a machine for a new replica; without one the run fails${lost}`,
  hint: 'Add or free capacity (fleet, offer) and plan again. To replace the service with a downtime, stop it first, then plan and apply.',
});
