import type { Consent } from '../../safety/consent/consent.ts';
import type { CheckedArgv } from '../argv/command.ts';
import type { Transcript } from '../../core/transcript.ts';

/** Takes standard output as it comes, for what is too long to be kept. */
export interface OutputSink {
  write(chunk: Uint8Array): void;
  /** Forget what came: the command is run once more, from the start. */
  reset(): void;
}

export interface RunOptions {
  /** Working directory; the process's own unless given. */
  readonly cwd?: string;
  /** Variables added to the runner's environment for this command only. */
  readonly env?: Readonly<Record<string, string>>;
  /** The command ends after this many milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Gets all of standard output, also what the transcript leaves out. */
  readonly sink?: OutputSink;
  /** A file whose content dstack reads as these bytes, whatever stands on the disk by then: the approved configuration. */
  readonly pinnedFile?: { readonly path: string; readonly bytes: Uint8Array };
  /** Told when its turn has come, and where it runs: until then it waited. Twice where the worker couldn't and a process does. */
  readonly onBegin?: (ran: Transcript['ran']) => void;
}

/** Runs the dstack CLI. The plain process and the warm worker are behind it; both give the same transcript. */
export interface Runner {
  /** Runs a read-only command. `answer: 'n'` is written to its prompt; nothing else ever is. Never throws for what dstack does. */
  read(argv: CheckedArgv<'read'>, options: RunOptions & { readonly answer?: 'n' }): Promise<Transcript>;
  /**
   * Runs a command that changes something, once.
   * @throws ToolError `consent-missing` when `consent` wasn't made by the gate.
   */
  change(argv: CheckedArgv<'change' | 'destroy'>, consent: Consent, options: RunOptions): Promise<Transcript>;
  /** Ends every process it started. */
  close(): Promise<void>;
}
