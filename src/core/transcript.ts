/** How a dstack process ended. */
export type Exit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  /** The deadline passed; the process group was ended, or (a change) left to finish in the background. */
  | { readonly kind: 'timed-out'; readonly stillRunning: boolean }
  | { readonly kind: 'cancelled' }
  /** The process never started, so nothing was changed. */
  | { readonly kind: 'not-started'; readonly reason: string }
  /** The worker or its child vanished after the hand-over: what dstack did is not known. */
  | { readonly kind: 'lost'; readonly reason: string };

/** What dstack printed, and how it ended: the verbatim record of one command. */
export interface Transcript {
  /** The command as a person would type it, for showing. */
  readonly command: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes left out of the middle because the output was larger than the runner keeps. 0 when it is whole. */
  readonly omittedBytes: number;
  readonly exit: Exit;
  readonly durationMs: number;
  readonly ran: 'plain' | 'warm';
  /**
   * How a pinned file was held to its bytes. `held`: dstack got them from memory. `checked`: the file had them before and after.
   * `changed`: it was checked and had them before, and not after, so what dstack read isn't known.
   */
  readonly pinning?: 'held' | 'checked' | 'changed';
}

/** Presents a text of this server like the output of a command. */
export const ownTranscript = (command: string, stdout: string): Transcript => ({
  command,
  stdout,
  stderr: '',
  omittedBytes: 0,
  exit: { kind: 'exited', code: 0 },
  durationMs: 0,
  ran: 'plain',
});
