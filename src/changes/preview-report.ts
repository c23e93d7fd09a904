import type { ChangeCard } from '../core/card.ts';
import { cleanSummary, nameToType } from '../safety/consent/describe-change.ts';
import type { Minted, PendingChange } from '../safety/consent/gate.ts';
import type { Report } from '../core/report.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { PlannedChange } from './planned-change.ts';

/** What a preview answers where nothing waits for consent. */
export function reportPreview(planned: PlannedChange): Report<ChangeFacts> {
  return {
    outcome: planned.outcome ?? 'done',
    summary: planned.summary,
    printed: planned.printed.map((transcript) => ({ transcript })),
    facts: planned.facts,
    next: planned.next,
  };
}

export interface MintedPreview {
  readonly pending: PendingChange;
  readonly minted: Minted;
  readonly redact: (text: string) => string;
}

/** What a preview answers with the token for its change, and with a card where there is a nonce for one. */
export function reportMinted(planned: PlannedChange, { pending, minted, redact }: MintedPreview): Report<ChangeFacts> {
  const { token, nonce, expiresAt } = minted;
  const report = { ...reportPreview(planned), facts: { ...planned.facts, token, expiresAt } };
  if (nonce === undefined) return report;
  const name = nameToType(pending);
  const card: ChangeCard = {
    view: 'change',
    tool: pending.binding.tool,
    nonce,
    expiresAt,
    now: new Date().toISOString(),
    operation: pending.operation,
    summary: cleanSummary(pending.summary, redact),
    ...(name === undefined ? {} : { nameToType: name }),
    ...planned.terms,
  };
  return { ...report, card, next: nextWithCard(card.tool) };
}

const nextWithCard = (tool: string): string =>
  `The user is shown this in a card with Approve and Decline. Show it, and wait for their click or their word; then call ${tool} with the token alone, which tells what came of the click.`;
