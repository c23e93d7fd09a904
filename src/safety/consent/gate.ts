import type { ToolError } from '../../core/errors.ts';
import type { Answer, Question } from '../../core/report.ts';
import { createAskPerson } from './ask-person.ts';
import type { AuditSink } from '../audit/audit-entry.ts';
import { takeDecision } from './card-decision.ts';
import type { CardDecision } from './card-decision.ts';
import { grantConsent } from './consent.ts';
import type { Consent } from './consent.ts';
import { nameToType, needsName } from './describe-change.ts';
import type { Dialog } from '../dialog/dialog.ts';
import { createChangeJournal } from './change-journal.ts';
import { describeDifferences, digestChange } from './compare-changes.ts';
import type { PendingChange, ConsentLevel } from '../../core/change.ts';
import { planChanged, usedUp, wrongTool } from './consent-errors.ts';
import { isEnough } from '../policy/requirement.ts';
import type { Requirement } from '../policy/requirement.ts';
import { createMonotonicClock } from './monotonic-clock.ts';
import { closeEntry, createTokenStore } from './token-store.ts';
import type { TokenEntry, Used } from './token-store.ts';
import { WAITING } from './waiting.ts';
import type { Waiting } from './waiting.ts';

export type { CardDecision } from './card-decision.ts';

/** Who is asking to redeem, and whom this server can ask back. */
export interface AskContext {
  /** A token is good for the tool that it was minted for. */
  readonly tool: 'apply' | 'stop' | 'delete';
  /** The client can show a form to a person. */
  readonly canAskPerson: boolean;
  /** The person's answer, when this call is the second round of a question. */
  readonly answer?: Answer | undefined;
  /** How long this call may wait for a dialog before it says "waiting for the person". */
  readonly waitMs: number;
}

/** How a redemption is carried out. Neither is called without consent, and `execute` once at most. */
export interface RedeemSteps<R> {
  /** Plans once more, reading files and dstack afresh. Throws where that fails or is forbidden: the token stays good. */
  replan(shown: PendingChange): Promise<PendingChange>;
  /** Runs the command. What it gives is the answer to every later use of the token. */
  execute(consent: Consent): Promise<R>;
}

/** What a redemption came to. */
export type Redemption<R> =
  | Question
  | Waiting
  | ({
      readonly kind: 'redeemed';
      /** The change was made by an earlier use; nothing was done again. */ readonly repeated: boolean;
    } & Used<R>);

/** What a preview is given for its change. */
export interface Minted {
  readonly token: string;
  readonly expiresAt: string;
  /** For the card alone: never where a model reads. */
  readonly nonce?: string;
}

/** The one place where consent is made. */
export interface Gate<R> {
  /** Gives a token for a change that was shown; with a nonce for the buttons where it is shown in a card. */
  mint(change: PendingChange, options?: { readonly card: boolean }): Minted;
  /**
   * The one way from a token to a consent: asks who has to be asked, plans again, compares, executes once.
   * @throws ToolError where there is no consent, or where what was shown is no longer what would happen.
   */
  redeem(token: string, ask: AskContext, steps: RedeemSteps<R>): Promise<Redemption<R>>;
  /**
   * Takes a click in the card, which then goes the way of a redemption.
   * @throws ToolError as `redeem` does, and where the person declined or typed another name.
   */
  decide(decision: CardDecision, steps: RedeemSteps<R>): Promise<Redemption<R>>;
  /** Forgets every token that waits, ends the dialogs that are open, and settles when each change that is being made has its last line. */
  close(): Promise<void>;
}

export interface GateOptions {
  /** What the operator wants for this change. @throws ToolError where the policy can't be read: nothing is allowed then. */
  readonly requirementFor: (change: PendingChange) => Requirement;
  readonly audit: AuditSink;
  readonly dialog?: Dialog | undefined;
  /** Milliseconds since the epoch, of a clock that only goes forward: a token must not live longer because one was set back. */
  readonly now?: () => number;
  readonly lifeMs?: number;
  readonly maxPending?: number;
  readonly maxResults?: number;
  readonly maxClosed?: number;
}

/** Creates the gate. `R` is what a change comes to; its outcome goes into the audit log. */
export function createGate<R extends { readonly outcome: string }>(options: GateOptions): Gate<R> {
  const now = options.now ?? createMonotonicClock();
  const journal = createChangeJournal(options.audit);
  const running = new Set<Promise<unknown>>();
  const refuse = (entry: TokenEntry<unknown>, error: ToolError, level?: ConsentLevel): ToolError => {
    closeEntry(entry, error);
    journal.refused(entry, error, level);
    return error;
  };
  const store = createTokenStore<R>({
    now,
    lifeMs: options.lifeMs ?? 10 * 60_000,
    maxPending: options.maxPending ?? 64,
    maxResults: options.maxResults ?? 32,
    maxClosed: options.maxClosed ?? 512,
  });
  const askPerson = createAskPerson({ requirementFor: options.requirementFor, dialog: options.dialog, now, refuse });

  /** Until the command runs, a failure leaves the token and the person's yes as they are. */
  const keepOnFailure = async <T>(
    entry: TokenEntry<R>,
    level: ConsentLevel,
    step: () => T | Promise<T>,
  ): Promise<T> => {
    try {
      return await step();
    } catch (error) {
      entry.state = {
        kind: 'pending',
        asking: isEnough(level, 'person') ? { kind: 'agreed', level } : { kind: 'not-asked' },
      };
      journal.refused(entry, error, level);
      throw error;
    }
  };

  const execute = async (entry: TokenEntry<R>, level: ConsentLevel, steps: RedeemSteps<R>): Promise<Used<R>> => {
    const differences = await keepOnFailure(entry, level, async () => {
      const fresh = await steps.replan(entry.change);
      // The policy may have been changed, or the price may have passed a limit of it, since the plan was shown.
      const enough = isEnough(level, options.requirementFor(fresh));
      return [
        ...describeDifferences(entry.change, fresh),
        ...(enough ? [] : ['it needs more consent now than it has']),
      ];
    });
    if (differences.length > 0) throw refuse(entry, planChanged(entry.change, differences), level);
    await keepOnFailure(entry, level, () => journal.approved(entry, level));
    const startedAt = now();
    try {
      const { operation, argv } = entry.change;
      const result = await steps.execute(
        grantConsent({ operation, level, planDigest: digestChange(entry.change), argv }),
      );
      const unrecorded = !journal.done(entry, { level, outcome: result.outcome, durationMs: now() - startedAt });
      const used = { result, level, unrecorded };
      entry.state = { kind: 'used', used };
      return used;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      closeEntry(entry, usedUp(why));
      journal.done(entry, { level, outcome: 'unknown', why, durationMs: now() - startedAt });
      throw error;
    }
  };

  /** One look at a token, without waiting: what is there, or what has to be waited for. */
  const look = (entry: TokenEntry<R>, ask: AskContext, steps: RedeemSteps<R>): Looked<R> => {
    if (entry.change.binding.tool !== ask.tool) throw wrongTool(entry.change, ask.tool);
    const { state } = entry;
    if (state.kind === 'closed') throw state.why;
    if (state.kind === 'used') return { kind: 'result', result: Promise.resolve(state.used), repeated: true };
    if (state.kind === 'running') return { kind: 'result', result: state.result, repeated: true };
    try {
      journal.asked(entry);
      const next = askPerson(entry, state.asking, ask);
      if (next.kind !== 'agreed') return next;
      // Started in a later turn, so that the state is `running` before anything of it happens: of many calls one gets here.
      const result = Promise.resolve().then(() => execute(entry, next.level, steps));
      entry.state = { kind: 'running', result };
      running.add(result);
      void result.catch(() => undefined).then(() => running.delete(result));
      return { kind: 'result', result, repeated: false };
    } catch (error) {
      if (entry.state.kind === 'pending') journal.refused(entry, error);
      throw error;
    }
  };

  /** `find` is asked anew in each round: while a dialog was waited for, another call may have used or closed the token. */
  const follow = async (find: () => TokenEntry<R>, ask: AskContext, steps: RedeemSteps<R>): Promise<Redemption<R>> => {
    const waitUntil = performance.now() + ask.waitMs;
    for (;;) {
      const looked = look(find(), ask, steps);
      if (looked.kind === 'result') return { kind: 'redeemed', ...(await looked.result), repeated: looked.repeated };
      if (looked.kind !== 'wait') return looked;
      if (!(await settlesBefore(looked.answered, waitUntil))) return WAITING.dialog;
    }
  };

  return {
    mint(change, options) {
      if (needsName(change.operation) && nameToType(change) === undefined) {
        throw new TypeError(`a ${change.operation} needs a name that a person can type`);
      }
      const { token, nonce, entry } = store.add(change, options);
      const expiresAt = new Date(entry.expiresAtMs).toISOString();
      return { token, expiresAt, ...(nonce === undefined ? {} : { nonce }) };
    },
    redeem: (token, ask, steps) => follow(() => store.find(token), ask, steps),
    async decide(decision, steps) {
      const find = (): TokenEntry<R> => store.findByNonce(decision.nonce);
      const entry = find();
      takeDecision(entry, decision, {
        close: (error) => refuse(entry, error),
        note: (error) => journal.refused(entry, error),
      });
      // Nobody is asked any more: by now it is agreed to, or it is closed.
      return follow(find, { tool: entry.change.binding.tool, canAskPerson: false, waitMs: 0 }, steps);
    },
    async close() {
      store.close();
      await Promise.allSettled(running);
    },
  };
}

type Looked<R> =
  | Question
  | Waiting
  | { readonly kind: 'result'; readonly result: Promise<Used<R>>; readonly repeated: boolean }
  | { readonly kind: 'wait'; readonly answered: Promise<void> };

/** Whether the promise settles before the given time of `performance.now()`. */
async function settlesBefore(promise: Promise<void>, timeMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, timeMs - performance.now()));
  });
  try {
    return await Promise.race([promise.then(() => true as const), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

export type { PendingChange } from '../../core/change.ts';
