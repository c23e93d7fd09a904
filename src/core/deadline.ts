/** The clock of one call: it ends within `timeoutMs`, whatever it does. */
export function createDeadline(options: {
  timeoutMs: number;
  signal: AbortSignal;
  progress: ((message: string) => void) | undefined;
}): Deadline {
  const endsAt = performance.now() + options.timeoutMs;
  return {
    remainingMs: () => Math.max(0, endsAt - performance.now()),
    signal: options.signal,
    progress: (message) => options.progress?.(message),
  };
}

export interface Deadline {
  /** Milliseconds until the call has to answer. */
  remainingMs(): number;
  readonly signal: AbortSignal;
  /** Tells the client how far the call is; dropped where the client didn't ask for it. */
  progress(message: string): void;
}
