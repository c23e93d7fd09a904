import type { Completions } from './completions.ts';
import type { CallTool, ReadThroughTool } from './read-through-tool.ts';

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
