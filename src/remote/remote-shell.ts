import type { Readable, Writable } from 'node:stream';

/** A program for a job: constant text of this server, in POSIX sh. Everything else travels as data. */
export interface RemoteProgram {
  /** Constant text. `$1`… are the data. It may neither `exec` nor set a trap for `EXIT`. */
  readonly script: string;
  /** Passed as `$1`…: encoded on the way, so that no shell on the way can read it as anything else. No NUL. */
  readonly data: readonly string[];
}

/** The shell in the job that leads the session, and so the process group, of a program. */
export interface RemoteLeader {
  readonly pid: number;
  /** In clock ticks since the boot of its machine: a pid is reused, a pid with its start time isn't. */
  readonly startedAt: string;
}

export type RemoteEnd =
  | { readonly kind: 'exited'; readonly exitCode: number }
  /** The shared connection doesn't exist, or it accepts no further session: nothing reached the job. */
  | { readonly kind: 'not-started'; readonly message: string }
  /** It ended without an exit code: it was ended, or the connection was. Nothing is known about the program. */
  | { readonly kind: 'lost'; readonly message: string };

export interface RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles once the program has started in the job; undefined if it ended before it reported that. */
  readonly leader: Promise<RemoteLeader | undefined>;
  /** Settles when the program has ended. Its output may be unread then, and may be held open by processes that it left. */
  readonly ended: Promise<RemoteEnd>;
  /** Closes the connection of this program. */
  kill(): void;
}

export interface RemoteStart {
  readonly signal: AbortSignal;
  /** An open file that the program reads, from its position. */
  readonly stdin?: number;
  /** An open file that its output is written to. It has all of it once `ended` settles. */
  readonly stdout?: number;
}

/** Runs programs in one job, over the master connection of its attachment. */
export interface RemoteShell {
  /** A descriptor takes the place of a stream that is empty then, so that no byte passes through this process. @throws RangeError if script and data together are larger than what a system accepts as an argument */
  start(program: RemoteProgram, options: RemoteStart): RemoteProcess;
}

/** The shell of the run, and what every call of it needs. */
export interface InRun {
  readonly shell: RemoteShell;
  readonly signal: AbortSignal;
}
