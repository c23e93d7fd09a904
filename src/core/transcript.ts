/** The end of a dstack process. */
export type Exit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  /** The deadline passed; the process group was ended, or (a change) left to finish in the background. */
  | { readonly kind: 'timed-out'; readonly stillRunning: boolean }
  | { readonly kind: 'cancelled' }
  /** The process never started, or was ended before it was allowed anything: nothing was changed. */
  | { readonly kind: 'not-started'; readonly reason: string }
  /** The worker or its child died after it received the command: what dstack did is unknown. */
  | { readonly kind: 'lost'; readonly reason: string };

/** A request of dstack to its server, as the gate in dstack's process saw it (`worker/wire_gate.py`). `path` is below `/api/`. */
export type WireEvent =
  /** A plan was requested for the specification with this SHA-256 (hex, over canonical JSON), and this name if it has one. */
  | { readonly event: 'plan'; readonly path: string; readonly sha256: string; readonly name: string | null }
  /** The existing resource in the response of a plan or a look-up; null if there is none. Only the last one of each path is kept. */
  | { readonly event: 'found'; readonly path: string; readonly value: unknown }
  /** The same, if it is too large, or not in JSON. */
  | { readonly event: 'unreadable'; readonly path: string }
  /** It waits for consent: the first change of the command. */
  | { readonly event: 'held'; readonly path: string }
  | { readonly event: 'sent'; readonly path: string; readonly kind: 'change' | 'hand-over' }
  | {
      readonly event: 'answered';
      readonly path: string;
      readonly kind: 'change' | 'hand-over';
      readonly status: number;
    }
  /** It was sent, and no response arrived. */
  | { readonly event: 'lost'; readonly path: string; readonly kind: 'change' | 'hand-over'; readonly why: string }
  /** It wasn't sent. */
  | {
      readonly event: 'denied';
      readonly path: string;
      readonly why: string;
      readonly credential?: true;
      readonly files?: true;
    };

/** The verbatim record of one dstack command: its output and how it ended. */
export interface Transcript {
  /** The command as a person would type it; empty for a text that no command printed. */
  readonly command: string;
  /** Names a text that no command printed. */
  readonly label?: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes dropped from the middle because the output exceeded the runner's buffer. 0 if it is complete. */
  readonly omittedBytes: number;
  readonly exit: Exit;
  readonly durationMs: number;
  readonly ran: 'plain' | 'warm';
  /** The requests that matter, in order. Missing if dstack ran without the gate: its executable isn't a Python script. */
  readonly requests?: readonly WireEvent[];
  /** dstack read the pinned file from memory. */
  readonly pinning?: 'held';
}

/** Presents a text that no command printed, under a label if it needs one. */
export const ownText = (text: string, label = ''): Transcript => ({ ...ownTranscript('', text), label });

/** Presents what a command of this server printed. */
export const ownTranscript = (command: string, stdout: string): Transcript => ({
  command,
  stdout,
  stderr: '',
  omittedBytes: 0,
  exit: { kind: 'exited', code: 0 },
  durationMs: 0,
  ran: 'plain',
});
