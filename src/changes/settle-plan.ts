import { formatPrice } from '../core/format-values.ts';
import { isRunType } from '../core/dstack-terms.ts';
import { withoutQuestion } from '../dstack/output/plan-text.ts';
import { nameOf, planFacts } from './apply-plan.ts';
import type { ApplyPlan } from './apply-plan.ts';
import { boundCost } from './bound-cost.ts';
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
      ? `this server's price cap of ${formatPrice(maxPrice)} (DSTACK_MCP_MAX_PRICE, or max_price in its policy), which only the user can change`
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
