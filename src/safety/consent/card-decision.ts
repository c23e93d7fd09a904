import type { ChangeJournal } from './change-journal.ts';
import { isNameToType, needsName } from './describe-change.ts';
import { declined, wrongName } from './consent-errors.ts';
import type { TokenEntry } from './token-store.ts';

/** A person's click in the card. */
export interface CardDecision {
  readonly nonce: string;
  readonly decision: 'approve' | 'decline';
  /** The typed name, for operations that need one. */
  readonly name?: string | undefined;
}

/** This many wrong names count as a rejection: nobody mistypes so often what is on the screen. */
const MAX_WRONG_NAMES = 3;

/**
 * Applies a click to a pending change: approves or closes it. Leaves a change that is running, used or closed unchanged.
 * @throws ToolError `person-declined`, or `wrong-name` while another try is left.
 */
export function takeDecision(
  entry: TokenEntry<unknown>,
  { decision, name }: CardDecision,
  journal: ChangeJournal,
): void {
  if (entry.state.kind !== 'pending' || entry.card === undefined) return;
  if (decision === 'decline') throw journal.close(entry, declined(entry.change, 'declined'));
  if (needsName(entry.change.operation) && !isNameToType(entry.change, name)) {
    entry.card.wrongNames += 1;
    const left = MAX_WRONG_NAMES - entry.card.wrongNames;
    if (left === 0) throw journal.close(entry, declined(entry.change, 'wrong-name'));
    const error = wrongName(entry.change, left);
    journal.refused(entry, error);
    throw error;
  }
  entry.state = { kind: 'pending', asking: { kind: 'approved', level: 'person-card' } };
}
