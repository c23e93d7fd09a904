import type { Cost, Limit } from '../core/format-values.ts';
import { readDurationHours } from '../core/format-values.ts';
import { isRunType } from '../core/dstack-terms.ts';
import { isRecord } from '../core/values.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';
import type { ApplyAction, ApplyPlan } from './apply-plan.ts';

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
