import type { CallEnd } from '../observability/call-record.ts';
import { cardOf } from '../core/card.ts';
import type { Card } from '../core/card.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { isError, renderReport } from '../render/render-report.ts';
import type { Rendered } from '../render/render-report.ts';
import { CommandFailed } from '../core/command-failed.ts';
import { createToolContext } from './create-tool-context.ts';
import type { Question, Report } from '../core/report.ts';
import type { AnyTool } from './tool.ts';
import type { CallContext } from './call-context.ts';

/** What a call came to: a result, or a question that has to be answered first. */
export type CallOutcome = CallResult | Question;

interface CallResult extends Rendered {
  readonly kind: 'result';
  /** For the card alone. */
  readonly card?: Card;
}

/** The way of one call, from the client's arguments to what the client is shown. Never throws for what a caller did. */
export async function callTool(engine: App, tool: AnyTool, raw: unknown, context: CallContext): Promise<CallOutcome> {
  return engine.calls.follow({ ...context.origin, tool: tool.name }, async (call) => {
    const finish = (answer: Report<Record<string, unknown>> | Question): CallOutcome => {
      call.answer(endOf(answer));
      if ('kind' in answer) return answer;
      const card = context.canShowCard ? cardOf(tool.card, answer) : undefined;
      return { kind: 'result', ...renderReport(answer, engine.filters), ...(card === undefined ? {} : { card }) };
    };
    try {
      // Secrets are masked from the first call on, also those that the CLI was given since the last one.
      await engine.learnSecrets();
      const run = tool.prepare(raw);
      engine.policy.assertToolAllowed(tool);
      // From here on the tool has only guarded powers: each command's argv passes the catalog, each change needs a consent
      // from the gate, a failure that can't go away isn't tried again, and every change is in the audit log before it runs.
      const powers = createToolContext(engine, context);
      return finish(await run(powers));
    } catch (error) {
      return finish(reportError(engine, tool, error));
    }
  });
}

function endOf(answer: Report<Record<string, unknown>> | Question): CallEnd {
  if ('kind' in answer) return { outcome: 'waiting-for-person', isError: false };
  const { outcome, facts } = answer;
  const { code } = facts;
  return { outcome, isError: isError(outcome), ...(typeof code === 'string' ? { code } : {}) };
}

/** Failures that no rule of this server's brought about: the installed CLI, or time. */
const ABOUT_THE_SET_UP: ReadonlySet<ErrorCode> = new Set([
  'cli-not-found',
  'cli-too-old',
  'cli-not-understood',
  'timed-out',
  'cancelled',
  'busy',
]);

function reportError(engine: App, tool: AnyTool, error: unknown): Report<Record<string, unknown>> {
  if (error instanceof CommandFailed) return error.report;
  if (error instanceof ToolError) {
    const outcome = ABOUT_THE_SET_UP.has(error.code) ? 'failed' : 'refused';
    return { outcome, summary: error.message, printed: [], facts: { code: error.code }, next: error.hint };
  }
  engine.log.error({ tool: tool.name, err: error }, 'a bug in this server');
  return {
    outcome: tool.effect === 'read' ? 'failed' : 'unknown',
    summary: `${tool.name} hit a bug in this server: ${error instanceof Error ? error.message : String(error)}`,
    printed: [],
    facts: { code: 'internal' },
    next:
      tool.effect === 'read'
        ? 'Try once more; if it stays, run the doctor tool and report it with the log from standard error.'
        : 'Whether anything was changed is not known: look with ps, get or fleet before anything else.',
  };
}
