import { randomUUID } from 'node:crypto';
import { messageOf } from '../../core/errors.ts';
import type { ConsentLevel, PendingChange } from '../../core/change.ts';
import type { Answer, Question, QuestionField } from '../../core/report.ts';
import type { DialogAnswer } from '../dialog/dialog-commands.ts';
import type { Dialog } from '../dialog/dialog.ts';
import type { PolicyWatch } from '../policy/policy-watch.ts';
import { isEnough } from '../policy/policy.ts';
import type { Requirement } from '../policy/policy.ts';
import type { ChangeJournal } from './change-journal.ts';
import {
  declined,
  dialogFailed,
  foreignAnswer,
  nobodyAsked,
  personNeeded,
  NO,
  describeChange,
  describeYes,
  isNameToType,
  needsName,
} from './consent-wording.ts';
import type { Asking, TokenEntry } from './token-store.ts';

/** A change that waits for a person whom nobody can hurry: the call ends, and a later call with the same token goes on. */
export interface Waiting {
  readonly kind: 'waiting-for-person';
  readonly message: string;
  readonly next: string;
}

/** The ways to ask a person. */
export type Prompt = keyof typeof WAITING;

/** The results of a call while a person is being asked. */
const WAITING = {
  form: {
    kind: 'waiting-for-person',
    message: "The client's form asks the user about this change. Nothing was changed yet.",
    next: 'Ask the user to answer the form. If they no longer see it, start again with a new preview.',
  },
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
  /** To be decided again once `answered` settles; `meanwhile` is the result of a call that can't wait for so long. */
  | { readonly kind: 'wait'; readonly answered: Promise<void>; readonly meanwhile: Waiting }
  | Waiting
  | Question;

/**
 * A form's answer that came sooner is not a person's. Hosts without a person answered automatically after 0 to 186 ms (Codex 0 to 1,
 * Copilot CLI 3, Claude Code 27, fast-agent 186); a person first has to read the question.
 */
const SOONEST_ANSWER_MS = 500;

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

  /** Returns how a person will be asked about a change; undefined if nobody will be. */
  promptFor(
    change: PendingChange,
    { canAskPerson, canShowCard }: { readonly canAskPerson: boolean; readonly canShowCard: boolean },
  ): Prompt | undefined {
    const { policy, dialog } = this.#parts;
    const requirement = policy.requirementFor(change);
    if (requirement === 'allow' || requirement === 'token') return undefined;
    if (canShowCard) return 'card';
    if (canAskPerson) return 'form';
    return dialog?.availability().kind === 'available' ? 'dialog' : undefined;
  }

  /**
   * Decides immediately who has approved a change, or who is asked and how: in the form, in the card if its page has reported itself,
   * in a dialog, and (if the operator allows it) by the token. While a question is open, only its answer counts.
   * @throws ToolError if the answer is a rejection, or if a person is needed and none can be asked.
   */
  next(
    entry: TokenEntry<unknown>,
    asking: Asking,
    { canAskPerson, answer }: { readonly canAskPerson: boolean; readonly answer?: Answer | undefined },
  ): ApprovalStep {
    const { policy } = this.#parts;
    const requirement = policy.requirementFor(entry.change);
    if (asking.kind === 'approved' && isEnough(asking.level, requirement)) return asking;
    if (answer !== undefined) return this.#takeAnswer(entry, asking, answer);
    if (requirement === 'allow') return { kind: 'approved', level: 'policy' };
    if (requirement === 'token') return { kind: 'approved', level: 'token' };
    if (asking.kind === 'dialog') return { kind: 'wait', answered: asking.answered, meanwhile: WAITING.dialog };
    if (canAskPerson) return this.#askInForm(entry, asking);
    if (asking.kind === 'form') return WAITING.form;
    return this.#askWithoutForm(entry, asking, requirement);
  }

  /**
   * Asks in the card or a dialog. Without both, the token is sufficient if the operator allows it; after a dialog that was announced and
   * failed, only once that is known.
   */
  #askWithoutForm(entry: TokenEntry<unknown>, asking: Asking, requirement: Requirement): ApprovalStep {
    const { dialog } = this.#parts;
    const { card } = entry;
    if (card?.page === 'shown') return WAITING.card;
    // The person may have the card in front of them in a moment: a token that arrives first must not overtake their click.
    if (card?.page === 'loading') return { kind: 'wait', answered: card.settled, meanwhile: WAITING.card };
    if (asking.kind !== 'dialog-failed' && dialog?.availability().kind === 'available')
      return this.#openDialog(entry, dialog);
    if (entry.answeredByNobody) throw nobodyAsked();
    if (entry.file?.isAsked() === true)
      throw personNeeded("another dstack-mcp process has already asked about it, so the token alone isn't sufficient");
    if (requirement !== 'ask') throw personNeeded(`the client has no forms, and ${whyNoDialog(asking, dialog)}`);
    if (asking.kind === 'dialog-failed' && !asking.isReported) {
      entry.state = { kind: 'pending', asking: { ...asking, isReported: true } };
      throw dialogFailed(asking.why);
    }
    return { kind: 'approved', level: 'token' };
  }

  #askInForm(entry: TokenEntry<unknown>, asking: Asking): Question {
    // If the client dropped the first round, the question is the same one: one answer counts, once.
    const nonce = asking.kind === 'form' ? asking.nonce : randomUUID();
    entry.state = { kind: 'pending', asking: { kind: 'form', nonce, askedAtMs: this.#parts.now() } };
    entry.file?.setAsked(true);
    return { kind: 'question', message: describeChange(entry.change), field: fieldOf(entry.change), nonce };
  }

  #takeAnswer(entry: TokenEntry<unknown>, asking: Asking, answer: Answer): ApprovalStep {
    const { journal, now } = this.#parts;
    if (asking.kind !== 'form' || asking.nonce !== answer.nonce) throw foreignAnswer();
    const reading = readAnswer(entry.change, answer);
    const isByNobody = reading !== 'unusable' && now() - asking.askedAtMs < SOONEST_ANSWER_MS;
    if (reading !== 'unusable' && !isByNobody) {
      if (reading === 'approved') return approve(entry, 'person-form');
      throw journal.close(entry, declined(entry.change, reading));
    }
    // Nobody has seen the form: go on as in a client without forms, but never with the token alone after an answer.
    if (isByNobody) entry.answeredByNobody = true;
    else unmarkAsked(entry);
    const notAsked = { kind: 'not-asked' } as const;
    entry.state = { kind: 'pending', asking: notAsked };
    const step = this.next(entry, notAsked, { canAskPerson: false });
    if (isByNobody) journal.refused(entry, nobodyAsked());
    return step;
  }

  #openDialog(entry: TokenEntry<unknown>, dialog: Dialog): ApprovalStep {
    const abort = new AbortController();
    const timeoutMs = Math.max(1_000, entry.expiresAtMs - this.#parts.now());
    const answered = dialog
      .ask(
        {
          message: describeChange(entry.change),
          field: needsName(entry.change.operation) ? 'name' : 'approve',
          timeoutMs,
        },
        abort.signal,
      )
      .catch((error: unknown): DialogAnswer => ({
        kind: 'unavailable',
        why: messageOf(error),
      }))
      .then((answer) => this.#takeDialogAnswer(entry, answer));
    entry.state = { kind: 'pending', asking: { kind: 'dialog', answered, abort } };
    entry.file?.setAsked(true);
    return { kind: 'wait', answered, meanwhile: WAITING.dialog };
  }

  #takeDialogAnswer(entry: TokenEntry<unknown>, answer: DialogAnswer): void {
    // The token may have expired while the dialog was open.
    if (entry.state.kind !== 'pending') return;
    if (answer.kind === 'unavailable') {
      unmarkAsked(entry);
      entry.state = { kind: 'pending', asking: { kind: 'dialog-failed', why: answer.why, isReported: false } };
    } else if (isApproval(entry.change, answer)) {
      approve(entry, 'person-dialog');
    } else {
      const typed = answer.kind === 'typed' && needsName(entry.change.operation);
      const how = typed ? 'wrong-name' : answer.kind === 'timed-out' ? 'cancelled' : 'declined';
      this.#parts.journal.close(entry, declined(entry.change, how));
    }
  }
}

/** Reads what a form returned. Accepting it is not an approval: its content has to be one, in the form's own words. */
function readAnswer(
  change: PendingChange,
  answer: Answer,
): 'approved' | 'declined' | 'cancelled' | 'wrong-name' | 'unusable' {
  if (answer.kind !== 'accepted') return answer.kind;
  if (needsName(change.operation)) return isNameToType(change, answer.content['name']) ? 'approved' : 'wrong-name';
  return answer.content['decision'] === describeYes(change) ? 'approved' : 'declined';
}

/** Nobody could be asked, so the token is as good as before, unless the client has answered for a person. */
function unmarkAsked(entry: TokenEntry<unknown>): void {
  if (!entry.answeredByNobody) entry.file?.setAsked(false);
}

function approve(entry: TokenEntry<unknown>, level: ConsentLevel): ApprovalStep {
  const approved = { kind: 'approved', level } as const;
  entry.state = { kind: 'pending', asking: approved };
  return approved;
}

const fieldOf = (change: PendingChange): QuestionField =>
  needsName(change.operation) ? { kind: 'name' } : { kind: 'choice', no: NO, yes: describeYes(change) };

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
