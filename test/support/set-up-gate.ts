import { ToolError } from '../../src/core/errors.ts';
import type { AuditEntry } from '../../src/safety/audit/audit-entry.ts';
import type { Consent } from '../../src/safety/consent/consent.ts';
import { createGate } from '../../src/safety/consent/gate.ts';
import type { AskContext, GateOptions, RedeemSteps } from '../../src/safety/consent/gate.ts';
import type { PendingChange } from '../../src/core/change.ts';
import { pendingChange } from './pending.ts';

export interface Result {
  readonly outcome: string;
  readonly run: number;
}

/** A gate with a clock that a test moves, a world that it changes, and everything that the gate did. */
export function setUp(options: Partial<GateOptions> = {}) {
  let clock = 1_000_000;
  const audit: AuditEntry[] = [];
  const consents: Consent[] = [];
  let world: PendingChange | Error = pendingChange();
  const gate = createGate<Result>({
    requirementFor: () => 'ask',
    audit: { write: (entry) => void audit.push(entry) },
    now: () => clock,
    ...options,
  });
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
    /** Mints for a client that shows cards. */
    show: (change: PendingChange = pendingChange()): { token: string; nonce: string } => {
      world = change;
      const { token, nonce } = gate.mint(change, { card: true });
      if (nonce === undefined) throw new Error('no nonce for a card');
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

/** A redemption by a client that can't ask a person, unless said otherwise. */
export const ask = (more: Partial<AskContext> = {}): AskContext => ({
  tool: 'apply',
  canAskPerson: false,
  waitMs: 0,
  ...more,
});
/** A person's answer in a form. */
export const yes = (nonce: string, content: Record<string, unknown> = { approve: true }) =>
  ({ kind: 'accepted', content, nonce }) as const;

/** What a call is refused with. */
export async function refusal(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}
