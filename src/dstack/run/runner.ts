import type { Transcript } from '../../core/transcript.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import type { CheckedArgv } from '../argv/command.ts';
import type { Approve } from './held-change.ts';
import type { WireRule } from './wire-rule.ts';

/** The dstack executable and, where it is a Python script, its interpreter. */
export interface Executable {
  readonly path: string;
  /** The Python interpreter of the entry script; missing if the executable isn't a Python script. */
  readonly interpreter?: string;
  /** The shim or wrapper that was found and leads to this script, with the variables that it sets. */
  readonly wrapper?: { readonly path: string; readonly env: Readonly<Record<string, string>> };
  /** Why no Python script is known. */
  readonly notPython?: string;
  /** The places that were searched, in order, up to the one where it was found. */
  readonly tried: readonly string[];
}

/** Receives standard output as it arrives, for output that is too long to keep. */
export interface OutputSink {
  write(chunk: Uint8Array): void;
  /** Discards everything received so far: the command starts over. */
  reset(): void;
}

export interface RunOptions {
  /** Working directory. Defaults to that of this process. */
  readonly cwd?: string;
  /** Variables added to the runner's environment for this command only. */
  readonly env?: Readonly<Record<string, string>>;
  /** The command is ended after this many milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Receives all of standard output, including what the transcript omits. */
  readonly sink?: OutputSink;
  /** The approved configuration: dstack reads these bytes at this path, even if the file on disk has changed. */
  readonly pinnedFile?: { readonly path: string; readonly bytes: Uint8Array };
  /** Limits what the command may send to dstack's server. Enforced if the executable is a Python script. */
  readonly wire?: WireRule;
  /** Called when the command leaves the queue, with where it runs. Called twice if the worker can't run it and a process does. */
  readonly onBegin?: (ran: Transcript['ran']) => void;
}

export interface ReadOptions extends RunOptions {
  /** The only input that is ever written to a prompt. */
  readonly answer?: 'n';
}

/** Runs the dstack CLI, as a plain process or in the warm worker. Both return the same transcript. */
export interface Runner {
  /** Runs a read-only command. Doesn't throw if dstack fails. */
  read(argv: CheckedArgv<'read'>, options: ReadOptions): Promise<Transcript>;
  /**
   * Runs a command that changes something, once. A function is asked for the consent right before the first change is sent, which
   * needs a rule that asks and an executable that is a Python script.
   * @throws ToolError `consent-missing` if `consent` wasn't made by the gate; what the function throws, once the command has ended.
   */
  change(argv: CheckedArgv<'change'>, consent: Consent | Approve, options: RunOptions): Promise<Transcript>;
  /** Ends every process it started. */
  close(): Promise<void>;
}
