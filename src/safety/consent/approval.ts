import { randomUUID } from 'node:crypto';
import type { ConsentLevel, PendingChange } from '../../core/change.ts';
import type { Answer, Question } from '../../core/report.ts';
import type { DialogAnswer } from '../dialog/dialog-commands.ts';
import type { Dialog } from '../dialog/dialog.ts';
import type { PolicyWatch } from '../policy/policy-watch.ts';
import { isEnough } from '../policy/requirement.ts';
import type { ChangeJournal } from './change-journal.ts';
import { declined, foreignAnswer, personNeeded } from './consent-errors.ts';
import { describeChange, isNameToType, needsName } from './describe-change.ts';
import type { Asking, TokenEntry } from './token-store.ts';

/** A change that waits for a person whom nobody can hurry: the call ends, and a later call with the same token goes on. */
export interface Waiting {
  readonly kind: 'waiting-for-person';
  readonly message: string;
  readonly next: string;
}

/** The results of a call while a person is being asked. */
export const WAITING = {
  dialog: {
    kind: 'waiting-for-person',
    message: "A dialog on the user's desktop asks about this change. Nothing was changed yet.",
    next: 'Ask the user to answer the dialog, then call the tool again with the same token.',
  },
  card: {
    kind: 'waiting-for-person',
    message: 'The card asks the user about this change. Nothing was changed yet.',
    next: 'Ask the user to approve or decline it in the card. Once they have, call the tool again with the same token: it returns the result.',
  },
} as const satisfies Record<string, Waiting>;

/** The next step of an approval: it is there, a dialog is open, the card waits for a click, or the client has to ask. */
export type ApprovalStep =
  | { readonly kind: 'approved'; readonly level: ConsentLevel }
  | { readonly kind: 'wait'; readonly answered: Promise<void> }
  | Waiting
  | Question;

interface ApprovalParts {
  readonly policy: Pick<PolicyWatch, 'requirementFor'>;
  readonly dialog: Dialog | undefined;
  readonly now: () => number;
  readonly journal: ChangeJournal;
}

/** Decides who is asked for approval, and reads the answer. */
export class ApprovalFlow {
  readonly #parts: ApprovalParts;

  constructor(parts: ApprovalParts) {
    this.#parts = parts;
  }

  /**
   * Decides immediately who has approved a change, or who is asked and how. The card was shown before this is called; the form comes
   * next, then the dialog and (if the operator allows it) the token.
   * @throws ToolError if the answer is a rejection, or if a person is needed and none can be asked.
   */
  next(
    entry: TokenEntry<unknown>,
    asking: Asking,
    { canAskPerson, answer }: { readonly canAskPerson: boolean; readonly answer?: Answer | undefined },
  ): ApprovalStep {
    const { dialog, policy } = this.#parts;
    const requirement = policy.requirementFor(entry.change);
    if (asking.kind === 'approved' && isEnough(asking.level, requirement)) return asking;
    if (answer !== undefined) return this.#takeAnswer(entry, asking, answer);
    if (requirement === 'allow') return { kind: 'approved', level: 'policy' };
    if (requirement === 'token') return { kind: 'approved', level: 'token' };
    // An open dialog stays the only question.
    if (asking.kind === 'dialog') return { kind: 'wait', answered: asking.answered };
    if (canAskPerson) return askInForm(entry, asking);
    // The person has the card in front of them: a token that arrives first must not overtake their click.
    if (entry.card !== undefined) return WAITING.card;
    if (asking.kind !== 'dialog-failed' && dialog?.availability().kind === 'available')
      return this.#openDialog(entry, dialog);
    if (requirement === 'ask') return { kind: 'approved', level: 'token' };
    throw personNeeded(`the client has no forms, and ${whyNoDialog(asking, dialog)}`);
  }

  #takeAnswer(entry: TokenEntry<unknown>, asking: Asking, answer: Answer): ApprovalStep {
    const { journal } = this.#parts;
    if (asking.kind !== 'form' || asking.nonce !== answer.nonce) throw foreignAnswer();
    if (answer.kind !== 'accepted') throw journal.close(entry, declined(entry.change, answer.kind));
    const typed = needsName(entry.change.operation);
    // Accepting the form is not an approval: its content has to be one.
    const yes = typed ? isNameToType(entry.change, answer.content['name']) : answer.content['approve'] === true;
    if (!yes) throw journal.close(entry, declined(entry.change, typed ? 'wrong-name' : 'declined'));
    return approve(entry, 'person-form');
  }

  #openDialog(entry: TokenEntry<unknown>, dialog: Dialog): ApprovalStep {
    const abort = new AbortController();
    const timeoutMs = Math.max(1_000, entry.expiresAtMs - this.#parts.now());
    const answered = dialog
      .ask({ message: describeChange(entry.change), field: fieldOf(entry.change), timeoutMs }, abort.signal)
      .catch((error: unknown): DialogAnswer => ({
        kind: 'unavailable',
        why: error instanceof Error ? error.message : String(error),
      }))
      .then((answer) => this.#takeDialogAnswer(entry, answer));
    entry.state = { kind: 'pending', asking: { kind: 'dialog', answered, abort } };
    return { kind: 'wait', answered };
  }

  #takeDialogAnswer(entry: TokenEntry<unknown>, answer: DialogAnswer): void {
    // The token may have expired while the dialog was open.
    if (entry.state.kind !== 'pending') return;
    if (answer.kind === 'unavailable') {
      entry.state = { kind: 'pending', asking: { kind: 'dialog-failed', why: answer.why } };
    } else if (isApproval(entry.change, answer)) {
      approve(entry, 'person-dialog');
    } else {
      const typed = answer.kind === 'typed' && needsName(entry.change.operation);
      const how = typed ? 'wrong-name' : answer.kind === 'timed-out' ? 'cancelled' : 'declined';
      this.#parts.journal.close(entry, declined(entry.change, how));
    }
  }
}

function askInForm(entry: TokenEntry<unknown>, asking: Asking): Question {
  // If the client dropped the first round, the question is the same one: one answer counts, once.
  const nonce = asking.kind === 'form' ? asking.nonce : randomUUID();
  entry.state = { kind: 'pending', asking: { kind: 'form', nonce } };
  return { kind: 'question', message: describeChange(entry.change), field: fieldOf(entry.change), nonce };
}

function approve(entry: TokenEntry<unknown>, level: ConsentLevel): ApprovalStep {
  const approved = { kind: 'approved', level } as const;
  entry.state = { kind: 'pending', asking: approved };
  return approved;
}

const fieldOf = (change: PendingChange): 'approve' | 'name' => (needsName(change.operation) ? 'name' : 'approve');

/** A click is not an approval where a name has to be typed. */
function isApproval(change: PendingChange, answer: DialogAnswer): boolean {
  if (needsName(change.operation)) return answer.kind === 'typed' && isNameToType(change, answer.name);
  return answer.kind === 'approved';
}

function whyNoDialog(asking: Asking, dialog: Dialog | undefined): string {
  if (asking.kind === 'dialog-failed') return `the dialog couldn't be shown (${asking.why})`;
  const availability = dialog?.availability();
  return availability?.kind === 'unavailable' ? availability.why : 'dialogs are disabled';
}
