import { setTimeout as delay } from 'node:timers/promises';

/** Settles as the promise does, or resolves with undefined once the time is up. */
export async function within<T>(timeMs: number, promise: Promise<T>): Promise<T | undefined> {
  const settled = new AbortController();
  try {
    return await Promise.race([promise, delay(Math.max(0, timeMs), undefined, { signal: settled.signal })]);
  } finally {
    settled.abort();
  }
}

/** Creates the deadline of one call. */
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
  /** Returns the milliseconds until the call has to answer. */
  remainingMs(): number;
  readonly signal: AbortSignal;
  /** Reports progress to the client; does nothing if the client didn't ask for it. */
  progress(message: string): void;
}

/**
 * Creates a clock of milliseconds since the epoch that never goes back. It follows the wall clock or the elapsed time, whichever is
 * further: the wall clock may be set back, and the elapsed time doesn't advance while a computer sleeps.
 */
export function createMonotonicClock(
  wall: () => number = Date.now,
  elapsed: () => number = () => performance.now(),
): () => number {
  let [now, last] = [wall(), elapsed()];
  return () => {
    const before = last;
    last = elapsed();
    now = Math.max(wall(), now + last - before);
    return now;
  };
}
