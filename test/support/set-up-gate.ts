import { ToolError } from '../../src/core/errors.ts';
import type { PendingChange } from '../../src/core/change.ts';
import type { Question } from '../../src/core/report.ts';
import type { AuditEntry } from '../../src/safety/audit/audit-log.ts';
import type { Waiting } from '../../src/safety/consent/approval.ts';
import { Gate } from '../../src/safety/consent/gate.ts';
import type { CardDecision, ApprovalContext, Begun, GateOptions } from '../../src/safety/consent/gate.ts';
import type { Consent } from '../../src/safety/consent/consent.ts';
import type { Used } from '../../src/safety/consent/token-store.ts';
import { pendingChange } from './pending-change.ts';

export interface Result {
  readonly outcome: string;
  readonly run: number;
}

/** Steps of a redemption in a test. */
export interface RedeemSteps<R> {
  replan(shown: PendingChange): Promise<PendingChange>;
  execute(consent: Consent): Promise<R>;
}

export type Redeemed<R> = Question | Waiting | ({ readonly kind: 'redeemed'; readonly repeated: boolean } & Used<R>);

/** The end of a redemption that was begun, in the order of the change service: plan again, grant, execute, finish. */
async function carryOut<R extends { readonly outcome: string }>(
  begun: Begun<R>,
  steps: RedeemSteps<R>,
): Promise<Redeemed<R>> {
  if (begun.kind === 'replay') return { kind: 'redeemed', repeated: true, ...begun.used };
  if (begun.kind !== 'approved') return begun;
  const { redemption } = begun;
  try {
    const consent = redemption.grant(await steps.replan(redemption.change));
    return { kind: 'redeemed', repeated: false, ...redemption.finish(await steps.execute(consent)) };
  } catch (error) {
    throw redemption.fail(error);
  }
}

/** A gate whose redemptions are carried out by the steps of a test. */
export class TestGate<R extends { readonly outcome: string }> {
  readonly gate: Gate<R>;
  readonly #onQuestion: () => void;

  constructor(options: GateOptions, onQuestion: () => void = () => undefined) {
    this.gate = new Gate<R>(options);
    this.#onQuestion = onQuestion;
  }

  mint(...change: Parameters<Gate<R>['mint']>): ReturnType<Gate<R>['mint']> {
    return this.gate.mint(...change);
  }

  /** As the page of a card reports that it is on the screen. */
  show(nonce: string): void {
    this.gate.cardShown(nonce);
  }

  async redeem(token: string, approval: ApprovalContext, steps: RedeemSteps<R>): Promise<Redeemed<R>> {
    const redeemed = await carryOut(await this.gate.begin(token, approval), steps);
    if (redeemed.kind === 'question') this.#onQuestion();
    return redeemed;
  }

  async decide(decision: CardDecision, steps: RedeemSteps<R>): Promise<Redeemed<R>> {
    return carryOut(await this.gate.beginByCard(decision), steps);
  }

  close(): Promise<void> {
    return this.gate.close();
  }
}

/** The options of a gate, with the policy's answer as a function. */
type SetUpOptions = Partial<Omit<GateOptions, 'policy'>> & {
  readonly requirementFor?: GateOptions['policy']['requirementFor'];
  /** How long the client takes to answer a form. Defaults to the two seconds of a quick person. */
  readonly readMs?: number;
};

/** Creates a gate with a clock and a world that a test changes, and records everything that the gate did. */
export function setUp({ requirementFor = () => 'ask', readMs = 2_000, ...options }: SetUpOptions = {}) {
  let clock = 1_000_000;
  const audit: AuditEntry[] = [];
  const consents: Consent[] = [];
  let world: PendingChange | Error = pendingChange();
  const gate = new TestGate<Result>(
    {
      policy: { requirementFor },
      audit: { write: (entry) => void audit.push(entry) },
      now: () => clock,
      ...options,
    },
    () => (clock += readMs),
  );
  const steps: RedeemSteps<Result> = {
    async replan() {
      if (world instanceof Error) throw world;
      return world;
    },
    async execute(consent) {
      consents.push(consent);
      return { outcome: 'done', run: consents.length };
    },
  };
  return {
    gate,
    steps,
    audit,
    consents,
    mint: (change: PendingChange = pendingChange()): string => {
      world = change;
      return gate.mint(change).token;
    },
    /** Mints for a client that shows cards, and has the page report itself. */
    show: (change: PendingChange = pendingChange()): { token: string; nonce: string } => {
      world = change;
      const { token, nonce } = gate.mint(change, { card: true });
      if (nonce === undefined) throw new Error('no nonce for a card');
      gate.show(nonce);
      return { token, nonce };
    },
    setWorld: (change: PendingChange | Error): void => {
      world = change;
    },
    pass: (ms: number): void => {
      clock += ms;
    },
  };
}

/** A redemption by a client that can't ask a person, by default. */
export const ask = (more: Partial<ApprovalContext> = {}): ApprovalContext => ({
  canAskPerson: false,
  waitMs: 0,
  ...more,
});

/** The content of a form in which a person approves the change of `pendingChange`. */
export const YES = { decision: 'Yes, create task train for $1.00 an hour' };

/** The content of a form in which a person approves what it asks for. */
export const approving = (field: Question['field']): Record<string, unknown> =>
  field.kind === 'choice' ? { decision: field.yes } : {};

/** Returns a person's answer in a form. */
export const yes = (nonce: string, content: Record<string, unknown> = YES) =>
  ({ kind: 'accepted', content, nonce }) as const;

/** Returns the error that a call is refused with. */
export async function refusal(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}
