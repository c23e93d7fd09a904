import type { CallContext } from '../tool/call-context.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import type { RedeemSteps, Redemption, CardDecision } from '../safety/consent/gate.ts';
import type { Question, Report } from '../core/report.ts';
import type { ChangeFacts } from './change-facts.ts';
import { ANSWER_RESERVE_MS } from '../dstack/client/dstack-client.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { planApply } from './plan-apply.ts';
import { planDelete } from './plan-delete.ts';
import { planStop } from './plan-stop.ts';
import type { PlannedChange } from './planned-change.ts';
import type { ChangeRequest } from '../core/change.ts';
import type { Deadline } from '../core/deadline.ts';
import { reportMinted, reportPreview } from './preview-report.ts';

/** The power over changes: a preview mints a token, and the gate alone turns a token into a consent. */
export function createChangeService(
  engine: App,
  context: CallContext,
  powers: { commands: DstackClient; time: Deadline },
): ChangeService {
  const plan = (request: ChangeRequest): Promise<PlannedChange> => {
    switch (request.tool) {
      case 'apply':
        return planApply(engine, powers, request);
      case 'stop':
        return planStop(engine, powers, request);
      case 'delete':
        return planDelete(engine, powers, request);
      default:
        return request satisfies never;
    }
  };
  /** One redemption's steps: what is executed is what was planned last. */
  const createSteps = (): RedeemSteps<Report<ChangeFacts>> => {
    const planned: { change?: PlannedChange } = {};
    return {
      replan: async (shown) => {
        powers.time.progress('planning again, to see that nothing has changed');
        planned.change = await plan(shown.request);
        if (planned.change.pending === undefined)
          throw new ToolError(
            'plan-changed',
            `It can't be done any more, nothing was changed: ${planned.change.summary}`,
            planned.change.next,
          );
        return planned.change.pending;
      },
      execute: (consent) => {
        if (planned.change === undefined) throw new TypeError('executed without a plan');
        return planned.change.perform(consent);
      },
    };
  };

  return {
    async preview(request) {
      const planned = await plan(request);
      const { pending } = planned;
      if (pending === undefined) return reportPreview(planned);
      const minted = engine.gate.mint(pending, { card: context.canShowCard });
      return reportMinted(planned, { pending, minted, redact: engine.filters.redact });
    },
    async redeem(token, tool) {
      const ask = {
        tool,
        canAskPerson: context.canAskPerson,
        answer: context.answer,
        waitMs: powers.time.remainingMs() - ANSWER_RESERVE_MS,
      };
      return reportRedemption(await engine.gate.redeem(token, ask, createSteps()), 'This token was used before');
    },
    async decide(decision) {
      if (!context.canShowCard) throw noCard();
      return reportRedemption(await engine.gate.decide(decision, createSteps()), 'This was agreed to before');
    },
  };
}

const noCard = (): ToolError =>
  new ToolError(
    'person-needed',
    "Only a person's click in the card decides here, and this client shows no card. Nothing was changed.",
    'Call plan (or stop, delete without a token): its `next` says how the user is asked.',
  );

function reportRedemption(redemption: Redemption<Report<ChangeFacts>>, before: string): Report<ChangeFacts> | Question {
  if (redemption.kind === 'question') return redemption;
  if (redemption.kind === 'waiting-for-person') {
    const { kind: outcome, message: summary, next } = redemption;
    return { outcome, summary, printed: [], facts: {}, next };
  }
  const { result, repeated, unrecorded } = redemption;
  const summary = [
    repeated ? `${before}; nothing was done again. What came of it then: ${result.summary}` : result.summary,
    ...(unrecorded ? [UNRECORDED] : []),
  ].join(' ');
  return { ...result, summary };
}

const UNRECORDED = "Its last line couldn't be written to the audit log: no further change is made until that can be.";

/** Changes, in two steps: a preview that mints a token, and its redemption. */
export interface ChangeService {
  preview(request: ChangeRequest): Promise<Report<ChangeFacts>>;
  /** `tool` is the one that the token must have been minted for. */
  redeem(token: string, tool: ChangeRequest['tool']): Promise<Report<ChangeFacts> | Question>;
  /** A person's click in the card. */
  decide(decision: CardDecision): Promise<Report<ChangeFacts> | Question>;
}
