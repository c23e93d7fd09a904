import type { ChangeCard, Outcome, Report } from '../core/report.ts';
import { cleanSummary, nameToType } from '../safety/consent/consent-wording.ts';
import type { Prompt } from '../safety/consent/approval.ts';
import type { Minted } from '../safety/consent/gate.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { AccessPlan, AgreementPlan, PlannedChange, ReadyChange, SeveralPlan } from './planned-change.ts';

/** Reports a plan. */
export function reportPlan(planned: PlannedChange | SeveralPlan): Report<ChangeFacts> {
  return {
    outcome: outcomeOf(planned),
    summary: planned.summary,
    details: describePlan(planned),
    printed: planned.printed.map((transcript) => ({ transcript })),
    facts: planned.facts,
    next: planned.next,
  };
}

function outcomeOf(planned: PlannedChange | SeveralPlan): Outcome {
  if (planned.kind === 'settled') return planned.outcome;
  // The call was for a plan, a command, a copy or a request, not for this question.
  return planned.kind === 'access' || planned.kind === 'agreement' ? 'waiting' : 'done';
}

/** Returns what dstack's output doesn't say. The place is in a plan's own table, which a removal doesn't have. */
function describePlan({
  printed,
  details = [],
  facts: { project, warnings = [] },
}: PlannedChange | SeveralPlan): string[] {
  const place = printed.length > 0 || project === undefined ? [] : [`project: ${project}`];
  return [...place, ...details, ...warnings.map((warning) => `warning: ${warning}`)];
}

/** Reports a plan with the token for its change, and with a card if there is a nonce for its buttons. */
export function reportPreview(
  planned: ReadyChange | AgreementPlan | AccessPlan | SeveralPlan,
  { token, nonce, expiresAt }: Minted,
  { asks, redact }: { readonly asks: Prompt | undefined; readonly redact: (text: string) => string },
): Report<ChangeFacts> {
  const next = [planned.next, describeApproval(asks), ...describeAfterwards(planned)].join(' ');
  const report = { ...reportPlan(planned), facts: { ...planned.facts, token, expiresAt }, next };
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
  return { ...report, card };
}

/** The first step after a preview without output of dstack. */
export const SHOW = 'Show this to the user.';

/** Says what follows an approval that alone makes no change. */
function describeAfterwards(planned: ReadyChange | AgreementPlan | AccessPlan | SeveralPlan): string[] {
  if (planned.kind === 'agreement') return ['Then call plan again.'];
  if (planned.kind !== 'access') return [];
  return [planned.call === undefined ? 'Then make this call again.' : 'apply then makes this call, too.'];
}

/** Says when the model may go on, and who asks the user whatever they said before. */
const describeApproval = (asks: Prompt | undefined): string =>
  `Call apply with the token once they approve, or right away if they asked for this themselves and it is within the limits that they named${
    asks === undefined ? '' : `; ${ASKED_BY[asks]}`
  }.`;

const ASKED_BY = {
  card: 'if they see a card with Approve and Decline, their click decides',
  form: 'the client asks them in any case',
  dialog: 'a dialog on their desktop asks them in any case',
} as const satisfies Record<Prompt, string>;
