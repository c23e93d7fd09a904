import type { PendingChange } from '../../core/change.ts';
import type { Answer, Question } from '../../core/report.ts';
import { createMonotonicClock, within } from '../../core/waiting.ts';
import type { AuditSink } from '../audit/audit-log.ts';
import type { Dialog } from '../dialog/dialog.ts';
import type { PolicyWatch } from '../policy/policy-watch.ts';
import { ApprovalFlow } from './approval.ts';
import type { Prompt, Waiting } from './approval.ts';
import { ChangeJournal } from './change-journal.ts';
import { declined, wrongName, assertShownWhole, isNameToType, nameToType, needsName } from './consent-wording.ts';
import { Redemption } from './redemption.ts';
import { TokenFiles } from './token-files.ts';
import { TokenStore } from './token-store.ts';
import type { TokenEntry, Used } from './token-store.ts';

/** The caller that redeems a token, and the prompts that it supports. */
export interface ApprovalContext {
  /** The client can show a form to a person. */
  readonly canAskPerson: boolean;
  /** The person's answer, if this call is the second round of a question. */
  readonly answer?: Answer | undefined;
  /** How long this call may wait for a dialog before it reports that it waits for a person. */
  readonly waitMs: number;
}

/** The start of a redemption. */
export type Begun<R extends { readonly outcome: string }> =
  | Question
  | Waiting
  /** The token was used before, or is being used by another call: nothing is done again. */
  | { readonly kind: 'replay'; readonly used: Used<R> }
  /** The change is approved, and this call alone carries it out. */
  | { readonly kind: 'approved'; readonly redemption: Redemption<R> };

/** The token that a preview receives for its change. */
export interface Minted {
  readonly token: string;
  readonly expiresAt: string;
  /** Only for the card: never where a model reads. */
  readonly nonce?: string;
}

/** Settings of a gate. */
export interface GateOptions {
  readonly policy: Pick<PolicyWatch, 'requirementFor'>;
  readonly audit: AuditSink;
  readonly dialog?: Dialog | undefined;
  /** Milliseconds since the epoch, from a clock that only goes forward: a token must not live longer because a clock was set back. */
  readonly now?: () => number;
  /** A folder for the tokens that the next process can redeem. */
  readonly tokenFolder?: string | undefined;
  readonly lifeMs?: number;
  readonly maxPending?: number;
  readonly maxResults?: number;
  readonly maxClosed?: number;
  /** How long the page of a card may take to report itself. */
  readonly cardLoadMs?: number;
}

/** A host loads and paints the page in a fraction of this, and a model rarely redeems a token sooner. */
const CARD_LOAD_MS = 3_000;

/**
 * The only way from a token to a consent. A redemption begins here; its caller has it grant the consent for what dstack is about to do,
 * makes the change and finishes it. `R` is the result of a change; its outcome goes into the audit log.
 */
export class Gate<R extends { readonly outcome: string }> {
  readonly #now: () => number;
  readonly #policy: GateOptions['policy'];
  readonly #journal: ChangeJournal;
  readonly #store: TokenStore<R>;
  readonly #approval: ApprovalFlow;
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: GateOptions) {
    const {
      lifeMs = 10 * 60_000,
      maxPending = 64,
      maxResults = 32,
      maxClosed = 512,
      cardLoadMs = CARD_LOAD_MS,
    } = options;
    this.#now = options.now ?? createMonotonicClock();
    this.#policy = options.policy;
    this.#journal = new ChangeJournal(options.audit);
    const { tokenFolder: folder } = options;
    const files = folder === undefined ? undefined : new TokenFiles({ folder, lifeMs });
    this.#store = new TokenStore<R>({ now: this.#now, lifeMs, maxPending, maxResults, maxClosed, cardLoadMs, files });
    this.#approval = new ApprovalFlow({
      policy: options.policy,
      dialog: options.dialog,
      now: this.#now,
      journal: this.#journal,
    });
  }

  /**
   * Returns a token for a change that is shown; with a nonce for the buttons if it is shown in a card.
   * @throws ToolError `invalid-value` if it can't be shown whole
   */
  mint(change: PendingChange, options?: { readonly card: boolean }): Minted {
    if (needsName(change.operation) && nameToType(change) === undefined)
      throw new TypeError(`a ${change.operation} needs a name that a person can type`);
    assertShownWhole(change);
    const { token, nonce, entry } = this.#store.add(change, options);
    const expiresAt = new Date(entry.expiresAtMs).toISOString();
    return { token, expiresAt, ...(nonce === undefined ? {} : { nonce }) };
  }

  /** Returns the change that a token stands for. @throws ToolError if the token isn't known or has expired */
  changeOf(token: string): PendingChange {
    return this.#store.find(token).change;
  }

  /** Returns how a person will be asked about a change; undefined if nobody will be. */
  promptFor(change: PendingChange, client: Parameters<ApprovalFlow['promptFor']>[1]): Prompt | undefined {
    return this.#approval.promptFor(change, client);
  }

  /**
   * Begins the redemption of a token: asks whoever has to be asked.
   * @throws ToolError if the token isn't valid, the person declined, or a person is needed and none can be asked.
   */
  begin(token: string, approval: ApprovalContext): Promise<Begun<R>> {
    return this.#begin(() => this.#store.find(token), approval);
  }

  /**
   * Begins a redemption by a click in the card.
   * @throws ToolError as `begin` does, and if the person declined or typed another name.
   */
  async beginByCard(decision: CardDecision): Promise<Begun<R>> {
    const find = (): TokenEntry<R> => this.#store.findByNonce(decision.nonce);
    const entry = find();
    takeDecision(entry, decision, this.#journal);
    // Nobody is asked anymore: by now the change is approved or closed.
    return this.#begin(find, { canAskPerson: false, waitMs: 0 });
  }

  /**
   * Takes the report of a card's page that it is on the screen: from now on its change waits for a click.
   * @throws ToolError if no change waits for this card.
   */
  cardShown(nonce: string): void {
    this.#store.findByNonce(nonce).card?.report();
  }

  /** Closes every pending token in this process, closes the open dialogs, and settles once each change in progress has its last audit line. */
  async close(): Promise<void> {
    this.#store.close();
    await Promise.allSettled(this.#running);
  }

  /** `find` is called in each round: while a dialog was open, another call may have used or closed the token. */
  async #begin(find: () => TokenEntry<R>, approval: ApprovalContext): Promise<Begun<R>> {
    const waitUntil = performance.now() + approval.waitMs;
    let current = approval;
    for (;;) {
      const step = this.#step(find(), current);
      // An answer counts once, and the form isn't shown again in the same call.
      if (approval.answer !== undefined) current = { ...approval, answer: undefined, canAskPerson: false };
      if (step.kind === 'replay') return { kind: 'replay', used: await step.used };
      if (step.kind !== 'wait') return step;
      const answered = step.answered.then(() => true);
      if ((await within(waitUntil - performance.now(), answered)) !== true) return step.meanwhile;
    }
  }

  /** Looks at a token once, without waiting. Of many calls at the same time, one gets the redemption. */
  #step(entry: TokenEntry<R>, approval: ApprovalContext): Step<R> {
    const { state } = entry;
    if (state.kind === 'closed') throw state.why;
    if (state.kind === 'used') return { kind: 'replay', used: Promise.resolve(state.used) };
    if (state.kind === 'running') return { kind: 'replay', used: state.used };
    try {
      this.#journal.asked(entry);
      const next = this.#approval.next(entry, state.asking, approval);
      return next.kind === 'approved' ? { kind: 'approved', redemption: this.#redeem(entry, next.level) } : next;
    } catch (error) {
      if (entry.state.kind === 'pending') this.#journal.refused(entry, error);
      throw error;
    }
  }

  #redeem(entry: TokenEntry<R>, level: ConstructorParameters<typeof Redemption<R>>[0]['level']): Redemption<R> {
    const redemption = new Redemption<R>({
      entry,
      level,
      policy: this.#policy,
      journal: this.#journal,
      now: this.#now,
    });
    this.#running.add(redemption.settled);
    void redemption.settled.then(() => this.#running.delete(redemption.settled));
    return redemption;
  }
}

type Step<R extends { readonly outcome: string }> =
  | Exclude<Begun<R>, { readonly kind: 'replay' }>
  | { readonly kind: 'replay'; readonly used: Promise<Used<R>> }
  | { readonly kind: 'wait'; readonly answered: Promise<void>; readonly meanwhile: Waiting };

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
function takeDecision(entry: TokenEntry<unknown>, { decision, name }: CardDecision, journal: ChangeJournal): void {
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
