import * as z from 'zod';
import type { CallOutcome } from '../tool/call-tool.ts';
import type { CallContext } from '../tool/tool-context.ts';
import type { RunSnapshot } from './watch-runs.ts';
import type { AnyTool } from '../tool/tool.ts';

/** Calls the tool with this name with a client's raw arguments. */
export type CallTool = (tool: string, raw: unknown, context: CallContext) => Promise<CallOutcome>;

/** The part of a read tool's result that resources and completions use. */
export interface ToolAnswer {
  readonly isError: boolean;
  readonly text: string;
  readonly structured: Readonly<Record<string, unknown>>;
}

/** Calls a read tool for a resource, a completion or a subscription. */
export type ReadThroughTool = (
  tool: string,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<ToolAnswer>;

/** Creates a `ReadThroughTool`. It works like any tool call, but never asks a person. */
export function createReadThroughTool(call: CallTool, tools: readonly AnyTool[]): ReadThroughTool {
  const readers = new Set(tools.filter(({ effect }) => effect === 'read').map(({ name }) => name));
  return async (name, input, signal) => {
    if (!readers.has(name)) throw new Error(`${name} is not a read-only tool.`);
    const result = await call(name, input, { signal, canAskPerson: false, canShowCard: false });
    if (result.kind === 'question') throw new Error(`${name} asked a question.`);
    return result;
  };
}

const runResult = z.looseObject({ run: z.looseObject({ status: z.string(), isFinished: z.boolean() }) });

/** Reads a run's status from a result of the get tool. @throws Error if the result has none */
export function toRunSnapshot(answer: ToolAnswer): RunSnapshot {
  const read = runResult.safeParse(answer.structured);
  if (read.success) return { status: read.data.run.status, isFinished: read.data.run.isFinished };
  if (answer.structured['code'] === 'not-found') return { status: 'missing', isFinished: false };
  throw new Error(answer.text.split('\n')[0]);
}
