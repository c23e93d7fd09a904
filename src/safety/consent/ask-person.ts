import { randomUUID } from 'node:crypto';
import type { ToolError } from '../../core/errors.ts';
import type { Answer, Question } from '../../core/report.ts';
import { describeChange, isNameToType, needsName } from './describe-change.ts';
import type { DialogAnswer } from '../dialog/dialog-types.ts';
import type { Dialog } from '../dialog/dialog.ts';
import type { PendingChange, ConsentLevel } from '../../core/change.ts';
import { declined, foreignAnswer, personNeeded } from './consent-errors.ts';
import { isEnough } from '../policy/requirement.ts';
import type { Requirement } from '../policy/requirement.ts';
import type { Asking, TokenEntry } from './token-store.ts';
import { WAITING } from './waiting.ts';
import type { Waiting } from './waiting.ts';

/** What has to come next for a change: it is agreed to, a dialog is being answered, the card waits for a click, or the client has to ask. */
export type Next =
  | { readonly kind: 'agreed'; readonly level: ConsentLevel }
  | { readonly kind: 'wait'; readonly answered: Promise<void> }
  | Waiting
  | Question;

export interface AskPersonOptions {
  readonly requirementFor: (change: PendingChange) => Requirement;
  readonly dialog: Dialog | undefined;
  readonly now: () => number;
  /** Ends a token for good and gives back the error to throw. */
  readonly refuse: (entry: TokenEntry<unknown>, error: ToolError) => ToolError;
}

/**
 * Decides at once who has agreed to a change, or who is to be asked and how: a card is there before
 * this is asked; then come form, dialog and (where the operator lets it) the token.
 * @throws ToolError where the answer is a no, or where a person is needed and none can be asked.
 */
export type AskPerson = (
  entry: TokenEntry<unknown>,
  asking: Asking,
  ask: { readonly canAskPerson: boolean; readonly answer?: Answer | undefined },
) => Next;

export function createAskPerson(options: AskPersonOptions): AskPerson {
  const takeAnswer = (entry: TokenEntry<unknown>, asking: Asking, answer: Answer): Next => {
    if (asking.kind !== 'form' || asking.nonce !== answer.nonce) throw foreignAnswer();
    if (answer.kind !== 'accepted') throw options.refuse(entry, declined(entry.change, answer.kind));
    const typed = needsName(entry.change.operation);
    // Accepting the form is not a yes: its content has to say so.
    const yes = typed ? isNameToType(entry.change, answer.content['name']) : answer.content['approve'] === true;
    if (!yes) throw options.refuse(entry, declined(entry.change, typed ? 'wrong-name' : 'declined'));
    return agree(entry, 'person-form');
  };

  const openDialog = (entry: TokenEntry<unknown>, dialog: Dialog): Next => {
    const abort = new AbortController();
    const timeoutMs = Math.max(1_000, entry.expiresAtMs - options.now());
    const answered = dialog
      .ask({ message: describeChange(entry.change), field: fieldOf(entry.change), timeoutMs }, abort.signal)
      .catch((error: unknown): DialogAnswer => ({
        kind: 'unavailable',
        why: error instanceof Error ? error.message : String(error),
      }))
      .then((answer) => takeDialogAnswer(entry, answer));
    entry.state = { kind: 'pending', asking: { kind: 'dialog', answered, abort } };
    return { kind: 'wait', answered };
  };

  const takeDialogAnswer = (entry: TokenEntry<unknown>, answer: DialogAnswer): void => {
    // The token may have expired while the dialog was open.
    if (entry.state.kind !== 'pending') return;
    if (answer.kind === 'unavailable') {
      entry.state = { kind: 'pending', asking: { kind: 'dialog-failed', why: answer.why } };
    } else if (isYes(entry.change, answer)) {
      agree(entry, 'person-dialog');
    } else {
      const how = answer.kind === 'typed' ? 'wrong-name' : answer.kind === 'timed-out' ? 'cancelled' : 'declined';
      options.refuse(entry, declined(entry.change, how));
    }
  };

  return (entry, asking, ask) => {
    const requirement = options.requirementFor(entry.change);
    if (asking.kind === 'agreed' && isEnough(asking.level, requirement)) return asking;
    if (ask.answer !== undefined) return takeAnswer(entry, asking, ask.answer);
    if (requirement === 'allow') return { kind: 'agreed', level: 'policy' };
    if (requirement === 'token') return { kind: 'agreed', level: 'token' };
    // A dialog that is open stays the one question.
    if (asking.kind === 'dialog') return { kind: 'wait', answered: asking.answered };
    if (ask.canAskPerson) return askInForm(entry, asking);
    // The person has the card before them: a token that comes back first must not overtake their click.
    if (entry.card !== undefined) return WAITING.card;
    const { dialog } = options;
    if (asking.kind !== 'dialog-failed' && dialog?.availability().kind === 'available')
      return openDialog(entry, dialog);
    if (requirement === 'ask') return { kind: 'agreed', level: 'token' };
    throw personNeeded(`the client has no forms, and ${whyNoDialog(asking, dialog)}`);
  };
}

function askInForm(entry: TokenEntry<unknown>, asking: Asking): Question {
  // Asked again (the client dropped the first round), it is the same question: one answer counts, once.
  const nonce = asking.kind === 'form' ? asking.nonce : randomUUID();
  entry.state = { kind: 'pending', asking: { kind: 'form', nonce } };
  return { kind: 'question', message: describeChange(entry.change), field: fieldOf(entry.change), nonce };
}

function agree(entry: TokenEntry<unknown>, level: ConsentLevel): Next {
  const agreed = { kind: 'agreed', level } as const;
  entry.state = { kind: 'pending', asking: agreed };
  return agreed;
}

const fieldOf = (change: PendingChange): 'approve' | 'name' => (needsName(change.operation) ? 'name' : 'approve');

/** A click is no yes where a name has to be typed. */
function isYes(change: PendingChange, answer: DialogAnswer): boolean {
  if (needsName(change.operation)) return answer.kind === 'typed' && isNameToType(change, answer.name);
  return answer.kind === 'approved';
}

function whyNoDialog(asking: Asking, dialog: Dialog | undefined): string {
  if (asking.kind === 'dialog-failed') return `the dialog could not be shown (${asking.why})`;
  const availability = dialog?.availability();
  return availability?.kind === 'unavailable' ? availability.why : 'dialogs are switched off';
}
