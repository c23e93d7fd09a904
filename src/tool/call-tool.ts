import path from 'node:path';
import { messageOf, ToolError } from '../core/errors.ts';
import type { CallEnd } from '../observability/calls.ts';
import { cardOf, reportFailure } from '../core/report.ts';
import type { Card, Question, Report } from '../core/report.ts';
import type { App } from '../app.ts';
import { describeUnfinishedState } from '../changes/execute-change.ts';
import { ConfigurationService } from '../configuration/configuration-service.ts';
import type { WaitingCall } from '../core/change.ts';
import { createDeadline } from '../core/waiting.ts';
import { DstackClient } from '../dstack/client/dstack-client.ts';
import { isRecord, joinOr, nearestNames } from '../core/values.ts';
import { isError, renderReport } from '../render/render-report.ts';
import type { Rendered } from '../render/render-report.ts';
import { assertSandboxRuns } from '../settings/installation.ts';
import { createToolContext } from './tool-context.ts';
import type { AnyTool } from './tool.ts';
import type { CallContext } from './tool-context.ts';

/** The end of a call: a result, or a question that has to be answered first. */
export type CallOutcome = CallResult | Question;

interface CallResult extends Rendered {
  readonly kind: 'result';
  /** Only for the card. */
  readonly card?: Card;
}

/** The part of a read tool's result that resources, completions and subscriptions use. */
export type ToolAnswer = Pick<CallResult, 'isError' | 'text' | 'structured'>;

/** Handles one tool call end to end. Expected failures become results; never throws for caller errors. */
export async function callTool(app: App, tool: AnyTool, raw: unknown, context: CallContext): Promise<CallOutcome> {
  // dstack loads while the arguments are checked. A conversation without any call never pays for it.
  app.warmUp();
  return app.calls.follow({ ...context.origin, tool: tool.name }, async (call) => {
    const finish = (answer: Report<Record<string, unknown>> | Question): CallOutcome => {
      call.answer(endOf(answer));
      if ('kind' in answer) return answer;
      const card = context.canShowCard ? cardOf(tool.card, answer) : undefined;
      const named = nameTools(answer, context);
      return { kind: 'result', ...renderReport(named, app.filters), ...(card === undefined ? {} : { card }) };
    };
    // A read for a resource or a completion has no answer that a person sees.
    const closed = context.origin === undefined ? undefined : closeUnfinished(app);
    const answer = await runTool(app, tool, { raw, context });
    await closed;
    return finish('kind' in answer || closed === undefined ? answer : withNotes(answer, app.unfinished.takeNotes()));
  });
}

function nameTools(
  report: Report<Record<string, unknown>>,
  { nameTools: name }: CallContext,
): Report<Record<string, unknown>> {
  return name === undefined || report.next === undefined ? report : { ...report, next: name(report.next) };
}

async function runTool(
  app: App,
  tool: AnyTool,
  { raw, context }: { readonly raw: unknown; readonly context: CallContext },
): Promise<Report<Record<string, unknown>> | Question> {
  try {
    // Secrets are masked from the first call on, including those that the CLI learned since the last call.
    await app.learnSecrets();
    const run = tool.prepare(raw);
    app.policy.assertToolAllowed(tool);
    // From here on everything the tool may do is guarded: each argv is checked against the catalog, each change needs a consent
    // from the gate, a permanent failure isn't retried, and every change is in the audit log before it runs.
    return await run(createToolContext(app, context, waitingCall(tool.name, raw)));
  } catch (error) {
    const cause = await findCause(app, error);
    const findFiles = async (): Promise<readonly string[]> =>
      (await new ConfigurationService(app).find()).map((found) => found.path);
    return reportError(app, tool, await explainError(cause, { tool, raw }, findFiles));
  }
}

/** A token keeps the call that it waits for. A larger one is made again by the client. */
const MAX_WAITING_CHARS = 100_000;

/** Returns the call as `apply` can make it once there is consent; undefined if this tool needs none to use a run, or it is too large. */
function waitingCall(tool: string, raw: unknown): WaitingCall | undefined {
  const uses = tool === 'exec' || tool === 'copy' || tool === 'request' ? tool : undefined;
  if (uses === undefined || !isRecord(raw) || JSON.stringify(raw).length > MAX_WAITING_CHARS) return undefined;
  return { tool: uses, input: raw };
}

/** Returns that the sandbox has ended, if so: that also explains why its files aren't found. Otherwise returns the error. */
async function findCause({ settings: { sandbox } }: App, error: unknown): Promise<unknown> {
  if (sandbox === undefined) return error;
  return assertSandboxRuns(sandbox).then(
    () => error,
    (ended: unknown) => ended,
  );
}

/** How long the first answer may wait for what an earlier server left unfinished: dstack's own start is a part of it. */
const MAX_LOOK_UP_MS = 20_000;

/** Closes the changes that an earlier server left without a result. Only their look-ups need dstack, and usually there are none. */
function closeUnfinished(app: App): Promise<void> {
  const timeoutMs = Math.min(app.settings.timeoutMs, MAX_LOOK_UP_MS);
  const deadline = createDeadline({ timeoutMs, signal: new AbortController().signal, progress: undefined });
  const dstack = new DstackClient(app, deadline);
  return app.unfinished.close((change) => describeUnfinishedState(dstack, change));
}

function withNotes(report: Report<Record<string, unknown>>, notes: readonly string[]): Report<Record<string, unknown>> {
  const separator = report.summary.includes('\n') ? '\n\n' : ' ';
  return { ...report, summary: [report.summary, ...notes].join(separator) };
}

function endOf(answer: Report<Record<string, unknown>> | Question): CallEnd {
  if ('kind' in answer) return { outcome: 'waiting-for-person', isError: false };
  const { outcome, facts } = answer;
  const { code } = facts;
  return { outcome, isError: isError(outcome), ...(typeof code === 'string' ? { code } : {}) };
}

function reportError(app: App, tool: AnyTool, error: unknown): Report<Record<string, unknown>> {
  const report = reportFailure(error);
  if (report !== undefined) return report;
  app.log.error({ tool: tool.name, err: error }, 'a bug in this server');
  return {
    outcome: tool.effect === 'read' ? 'failed' : 'unknown',
    summary: `${tool.name} hit a bug in this server: ${messageOf(error)}`,
    printed: [],
    facts: { code: 'internal' },
    next:
      tool.effect === 'read'
        ? 'Try once more. If it persists, call doctor and report it with the log from standard error.'
        : "It isn't known whether anything was changed: check with ps, get or fleet before anything else.",
  };
}

type Called = Pick<AnyTool, 'name' | 'input'>;

/**
 * Adds the next step that only the tool knows: the file that was meant, or its argument for a flag. `findFiles` returns the paths of the
 * workspace's configurations.
 */
export async function explainError(
  failure: unknown,
  { tool, raw }: { readonly tool: Called; readonly raw: unknown },
  findFiles: () => Promise<readonly string[]>,
): Promise<unknown> {
  if (!(failure instanceof ToolError)) return failure;
  const { code, hint } = failure;
  if (code === 'unknown-flag') return withHint(failure, [hint, nameArguments(tool, hint)]);
  const file = isRecord(raw) ? raw['file'] : undefined;
  if ((code !== 'file-not-found' && code !== 'not-a-configuration') || typeof file !== 'string') return failure;
  const near = nearestFiles(file, await findFiles().catch(() => []));
  return withHint(failure, [near.length === 0 ? '' : `Did you mean ${joinOr(near)}?`, hint]);
}

function withHint(error: ToolError, parts: readonly string[]): ToolError {
  const { code, message, untrusted } = error;
  return new ToolError(code, message, parts.filter(Boolean).join(' '), { cause: error, untrusted });
}

/** Returns the configurations whose names without folders and endings are the same as that of a file, or nearly so. */
function nearestFiles(file: string, files: readonly string[]): readonly string[] {
  const wanted = stemOf(file);
  const same = files.filter((one) => stemOf(one) === wanted);
  if (same.length > 0) return same.slice(0, 2);
  const near = nearestNames(wanted, [...new Set(files.map(stemOf))]).slice(0, 2);
  return near.flatMap((stem) => files.find((one) => stemOf(one) === stem) ?? []);
}

const stemOf = (file: string): string => path.posix.basename(file).replace(/(?:\.dstack)?(?:\.ya?ml)?$/i, '');

/** The arguments that have another name than their flag. */
const RENAMED: ReadonlyMap<string, string> = new Map([['--spot-policy', 'spot']]);

/** Names the arguments of a tool for the flags that an error suggests. */
function nameArguments({ name, input }: Called, hint: string): string {
  const [suggestion = ''] = hint.split(/(?<=[?.]) /);
  const named = [...suggestion.matchAll(/--[a-z-]+/g)].flatMap(([flag]) => {
    const argument = RENAMED.get(flag) ?? flag.slice(2).replaceAll('-', '_');
    return Object.hasOwn(input.shape, argument) ? [`\`${argument}\` for ${flag}`] : [];
  });
  return named.length === 0 ? '' : `${name} has its own argument: ${named.join(', ')}.`;
}
