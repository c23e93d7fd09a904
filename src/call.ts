import type { CallEnd, CallStart } from './call-record.ts';
import { cardOf } from './card.ts';
import type { Card } from './card.ts';
import type { Engine } from './engine.ts';
import { ToolError } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import { isError, renderReport } from './output/render-report.ts';
import type { Rendered } from './output/render-report.ts';
import { CommandFailed } from './powers/command-failed.ts';
import { createPowers } from './powers/create-powers.ts';
import type { Answer, AnyTool, Question, Report } from './tool.ts';

/** What the client gave with a call, beside its arguments. */
export interface CallContext {
  /** What the client's own records know the call by. */
  readonly origin?: Omit<CallStart, 'tool'>;
  readonly signal: AbortSignal;
  /** Present when the client asked for progress. */
  readonly progress?: (message: string) => void;
  /** The client can show a form to a person. */
  readonly canAskPerson: boolean;
  /** The client shows the card, with buttons that a person can click. */
  readonly canShowCard: boolean;
  /** The person's answer, when this call is the second round of a question. */
  readonly answer?: Answer;
}

/** What a call came to: a result, or a question that has to be answered first. */
export type CallOutcome = CallResult | Question;

interface CallResult extends Rendered {
  readonly kind: 'result';
  /** For the card alone. */
  readonly card?: Card;
}

/** The way of one call, from the client's arguments to what the client is shown. Never throws for what a caller did. */
export async function callTool(
  engine: Engine,
  tool: AnyTool,
  raw: unknown,
  context: CallContext,
): Promise<CallOutcome> {
  return engine.calls.follow({ ...context.origin, tool: tool.name }, async (call) => {
    const finish = (answer: Report<Record<string, unknown>> | Question): CallOutcome => {
      call.answer(endOf(answer));
      if ('kind' in answer) return answer;
      const card = context.canShowCard ? cardOf(tool.card, answer) : undefined;
      return { kind: 'result', ...renderReport(answer, engine.treatment), ...(card === undefined ? {} : { card }) };
    };
    try {
      // Secrets are masked from the first call on, also those that the CLI was given since the last one.
      await engine.learnSecrets();
      const run = tool.prepare(raw);
      engine.policy.admitTool(tool);
      // From here on the tool has only guarded powers: each command's argv passes the catalogue, each change needs a consent
      // from the gate, a failure that can't go away isn't tried again, and every change is in the audit log before it runs.
      const powers = createPowers(engine, context);
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

function reportError(engine: Engine, tool: AnyTool, error: unknown): Report<Record<string, unknown>> {
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
