import type { ToolError } from '../../core/errors.ts';
import { isNameToType, needsName } from './describe-change.ts';
import { declined, wrongName } from './consent-errors.ts';
import type { TokenEntry } from './token-store.ts';

/** A person's click in the card. */
export interface CardDecision {
  readonly nonce: string;
  readonly decision: 'approve' | 'decline';
  /** What was typed where a name has to be. */
  readonly name?: string | undefined;
}

/** As many wrong names are a no: nobody mistypes so often what stands before them. */
const MOST_WRONG_NAMES = 3;

/** Counts and closes in the gate's way. */
export interface DecisionSteps {
  /** Ends the token for good and gives back the error to throw. */
  readonly close: (error: ToolError) => ToolError;
  /** Notes a refusal that leaves the token as it is. */
  readonly note: (error: ToolError) => void;
}

/**
 * Takes a click for a change that waits: agreed to, or closed. What is being done, was done or is closed stays what it is.
 * @throws ToolError `person-declined`, or `wrong-name` as long as another try is left.
 */
export function takeDecision(entry: TokenEntry<unknown>, { decision, name }: CardDecision, steps: DecisionSteps): void {
  if (entry.state.kind !== 'pending' || entry.card === undefined) return;
  if (decision === 'decline') throw steps.close(declined(entry.change, 'declined'));
  if (needsName(entry.change.operation) && !isNameToType(entry.change, name)) {
    entry.card.wrongNames += 1;
    const left = MOST_WRONG_NAMES - entry.card.wrongNames;
    if (left === 0) throw steps.close(declined(entry.change, 'wrong-name'));
    const error = wrongName(entry.change, left);
    steps.note(error);
    throw error;
  }
  entry.state = { kind: 'pending', asking: { kind: 'agreed', level: 'person-card' } };
}
