import * as z from 'zod';
import { callTool } from '../tool/call-tool.ts';
import type { App } from '../app.ts';
import type { ToolAnswer } from './completions.ts';
import type { RunSnapshot } from './watch-runs.ts';
import type { AnyTool } from '../tool/tool.ts';

/** Calls a read tool on behalf of a client that asked for something else than a tool. */
export type ReadCall = (
  tool: string,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<ToolAnswer>;

/** Gives what reads through a tool for resources, completions and subscriptions: the way of any call, but for asking a person. */
export function createReadCall(engine: App, tools: readonly AnyTool[]): ReadCall {
  return async (name, input, signal) => {
    const tool = tools.find((one) => one.name === name && one.effect === 'read');
    if (tool === undefined) throw new Error(`${name} is no tool that only reads.`);
    const result = await callTool(engine, tool, input, { signal, canAskPerson: false, canShowCard: false });
    if (result.kind === 'question') throw new Error(`${name} asked a question.`);
    return result;
  };
}

const runSight = z.looseObject({ run: z.looseObject({ status: z.string(), isFinished: z.boolean() }) });

/** What the get tool's answer tells of a run. @throws where nothing was learnt of it */
export function toRunSnapshot(answer: ToolAnswer): RunSnapshot {
  const seen = runSight.safeParse(answer.structured);
  if (seen.success) return { status: seen.data.run.status, isFinished: seen.data.run.isFinished };
  if (answer.structured['code'] === 'not-found') return { status: 'missing', isFinished: false };
  throw new Error(answer.text.split('\n')[0]);
}
