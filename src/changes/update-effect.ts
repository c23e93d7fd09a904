import { plural } from '../core/format-values.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import type { Obstacle, PlanFacts } from '../dstack/output/read-plan.ts';
import { liveReplicas, readRun } from '../dstack/output/read-run.ts';
import type { ApplyPlan } from './apply-plan.ts';

/** The effect of an update in place on the replicas of a service that run now. */
export interface UpdateEffect {
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
