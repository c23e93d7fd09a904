import type { Engine } from '../engine.ts';
import type { CallContext } from '../call.ts';
import { ToolError } from '../errors.ts';
import type { Report } from '../tool.ts';
import type { ChangeFacts } from './change-facts.ts';
import { ANSWER_RESERVE_MS } from './command-runner.ts';
import type { CommandRunner } from './command-runner.ts';
import { planApply } from './plan-apply.ts';
import { planDelete } from './plan-delete.ts';
import { planStop } from './plan-stop.ts';
import type { PlannedChange } from './planned-change.ts';
import type { ChangePower, ChangeRequest, TimePower } from './powers.ts';

/** The power over changes: a preview mints a token, and the gate alone turns a token into a consent. */
export function createChangePower(
  engine: Engine,
  context: CallContext,
  powers: { commands: CommandRunner; time: TimePower },
): ChangePower {
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
  return {
    async preview(request) {
      const planned = await plan(request);
      return reportPreview(planned, planned.pending === undefined ? undefined : engine.gate.mint(planned.pending));
    },
    async redeem(token, tool) {
      const planned: { change?: PlannedChange } = {};
      const redemption = await engine.gate.redeem(
        token,
        {
          tool,
          canAskPerson: context.canAskPerson,
          answer: context.answer,
          waitMs: powers.time.remainingMs() - ANSWER_RESERVE_MS,
        },
        {
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
        },
      );
      if (redemption.kind === 'question') return redemption;
      if (redemption.kind === 'waiting-for-person') {
        return {
          outcome: 'waiting-for-person',
          summary: redemption.message,
          printed: [],
          facts: {},
          next: redemption.next,
        };
      }
      const report = redemption.repeated ? repeat(redemption.result) : redemption.result;
      return redemption.unrecorded ? { ...report, summary: `${report.summary} ${UNRECORDED}` } : report;
    },
  };
}

function reportPreview(
  planned: PlannedChange,
  minted: { token: string; expiresAt: string } | undefined,
): Report<ChangeFacts> {
  return {
    outcome: planned.outcome ?? 'done',
    summary: planned.summary,
    printed: planned.printed.map((transcript) => ({ transcript })),
    facts: { ...planned.facts, ...minted },
    next: planned.next,
  };
}

const UNRECORDED = "Its last line couldn't be written to the audit log: no further change is made until that can be.";

/** A used token answers with what came of its use, and says that nothing was done again. */
function repeat(result: Report<ChangeFacts>): Report<ChangeFacts> {
  return {
    ...result,
    summary: `This token was used before; nothing was done again. What came of it then: ${result.summary}`,
  };
}
