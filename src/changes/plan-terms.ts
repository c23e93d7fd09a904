import type { PlanTerms } from '../core/card.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';

/** More rows are nobody's choice; how many there are is told. */
const MOST_OFFERS = 500;

/** What a plan would cost, offer by offer, for the card. */
export function planTerms({ offers, offersTotal, count, maxDurationHours }: PlanFacts): PlanTerms {
  return {
    offers: offers.slice(0, MOST_OFFERS),
    offersTotal,
    ...(count === undefined ? {} : { machines: count }),
    ...(maxDurationHours === undefined ? {} : { maxDurationHours }),
  };
}
