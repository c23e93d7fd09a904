import type { Completions } from './completions.ts';
import type { CallOutcome, ToolAnswer } from '../tool/call-tool.ts';
import type { CallContext } from '../tool/tool-context.ts';

/** The part that runs the calls. A server that is never called doesn't load it: it is most of the program. */
export interface Engine extends Completions {
  readonly call: CallTool;
  readonly read: ReadThroughTool;
  /** Makes the client's roots the workspace. */
  useRoots(this: void, folders: readonly string[]): void;
  /** Starts a warm dstack process in the background: calls will follow. */
  warmUp(this: void): void;
}

/** Loads the engine at the first use, and returns the same one from then on. */
export type LoadEngine = () => Promise<Engine>;

/** Calls the tool with this name with a client's raw arguments. */
export type CallTool = (tool: string, raw: unknown, context: CallContext) => Promise<CallOutcome>;

/** Calls a read tool for a resource, a completion or a subscription: like any tool call, but it never asks a person. */
export type ReadThroughTool = (
  tool: string,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<ToolAnswer>;
