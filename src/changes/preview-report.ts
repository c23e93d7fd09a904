import type { ChangeCard } from '../core/card.ts';
import type { Report } from '../core/report.ts';
import { cleanSummary, nameToType } from '../safety/consent/describe-change.ts';
import type { Minted } from '../safety/consent/gate.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { AgreementPlan, PlannedChange, ReadyChange } from './planned-change.ts';

/** Reports a plan. */
export function reportPlan(planned: PlannedChange): Report<ChangeFacts> {
  return {
    outcome: planned.kind === 'settled' ? planned.outcome : 'done',
    summary: planned.summary,
    details: describePlan(planned),
    printed: planned.printed.map((transcript) => ({ transcript })),
    facts: planned.facts,
    next: planned.next,
  };
}

/** Returns what dstack's output doesn't say. The place is in a plan's own table, which a removal doesn't have. */
function describePlan({ printed, details = [], facts: { project, warnings = [] } }: PlannedChange): string[] {
  const place = printed.length > 0 || project === undefined ? [] : [`project: ${project}`];
  return [...place, ...details, ...warnings.map((warning) => `warning: ${warning}`)];
}

/** Reports a plan with the token for its change, and with a card if there is a nonce for its buttons. */
export function reportPreview(
  planned: ReadyChange | AgreementPlan,
  { token, nonce, expiresAt }: Minted,
  redact: (text: string) => string,
): Report<ChangeFacts> {
  const report = { ...reportPlan(planned), facts: { ...planned.facts, token, expiresAt } };
  if (nonce === undefined) return report;
  const { pending } = planned;
  const name = nameToType(pending);
  const card: ChangeCard = {
    view: 'change',
    nonce,
    expiresAt,
    now: new Date().toISOString(),
    operation: pending.operation,
    summary: cleanSummary(pending.summary, redact),
    ...(name === undefined ? {} : { nameToType: name }),
    ...(planned.kind === 'ready' ? planned.terms : {}),
  };
  const next =
    'Show this to the user verbatim in a code block, and wait for their approval, in words or in the card if they see one; then call apply with the token, which returns the result.';
  return { ...report, card, next };
}
