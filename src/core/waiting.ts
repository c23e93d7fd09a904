import { isDeepStrictEqual } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

/** The end of a wait, with the last polled value. */
export type Waited<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** The deadline has passed. `value` is absent if not even the first poll returned. */
  | { readonly kind: 'timed-out'; readonly value?: T }
  | { readonly kind: 'cancelled'; readonly value?: T };

export interface WaitOptions<T> {
  /** Polls once. Its signal aborts when the result is no longer needed. */
  readonly poll: (signal: AbortSignal) => Promise<T>;
  readonly done: (value: T) => boolean;
  /** A value that was just read: the wait then begins with a pause. */
  readonly first?: T;
  /** The first pause. It grows by half while nothing changes, and is reset by a change. */
  readonly intervalMs: number;
  /** The longest pause. Defaults to five times the first one. */
  readonly longestMs?: number;
  /** Milliseconds until the wait ends, even if `poll` hasn't returned. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Called with the first value and with each one that differs from the previous one. */
  readonly onChange?: (value: T) => void;
}

const GROWTH = 1.5;

/** Polls until a value is `done`, the deadline passes or the signal aborts, and returns which. Rethrows errors of `poll`. */
export async function waitFor<T>(options: WaitOptions<T>): Promise<Waited<T>> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), Math.max(0, options.deadlineMs));
  const signals = [stop.signal, ...(options.signal === undefined ? [] : [options.signal])];
  try {
    const last = await pollUntilDone(options, AbortSignal.any(signals));
    if (last !== undefined && options.done(last.value)) return { kind: 'done', value: last.value };
    return { kind: options.signal?.aborted === true ? 'cancelled' : 'timed-out', ...last };
  } finally {
    clearTimeout(timer);
    // Nobody waits for a poll that is still running.
    stop.abort();
  }
}

/** Waits for a time, or until the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted === true) end();
  });
}

async function pollUntilDone<T>(
  options: WaitOptions<T>,
  stop: AbortSignal,
): Promise<{ readonly value: T } | undefined> {
  const { first, intervalMs, longestMs = intervalMs * 5 } = options;
  let last: { readonly value: T } | undefined = first === undefined ? undefined : { value: first };
  let pauseMs = intervalMs;
  if (first !== undefined) options.onChange?.(first);
  for (;;) {
    if (last !== undefined) await pause(pauseMs, stop);
    if (stop.aborted) return last;
    pauseMs = Math.min(pauseMs * GROWTH, longestMs);
    const polled = await untilAborted(options.poll(stop), stop);
    if (polled === undefined) return last;
    if (last === undefined || !isDeepStrictEqual(last.value, polled.value)) {
      options.onChange?.(polled.value);
      pauseMs = intervalMs;
    }
    last = polled;
    if (options.done(polled.value)) return last;
  }
}

/** Returns the value, or undefined if the signal aborts first. Ignores what the promise does after that. */
function untilAborted<T>(promise: Promise<T>, stop: AbortSignal): Promise<{ readonly value: T } | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    stop.addEventListener('abort', onAbort, { once: true });
    const settle = (act: () => void): void => {
      stop.removeEventListener('abort', onAbort);
      act();
    };
    promise.then(
      (value) => settle(() => resolve({ value })),
      // A poll that ended because of the abort has not failed.
      (error: unknown) => settle(() => (stop.aborted ? resolve(undefined) : reject(error))),
    );
  });
}

/** Settles as the promise does, or resolves with undefined once the time is up. */
export async function within<T>(timeMs: number, promise: Promise<T>): Promise<T | undefined> {
  const settled = new AbortController();
  try {
    return await Promise.race([promise, delay(Math.max(0, timeMs), undefined, { signal: settled.signal })]);
  } finally {
    settled.abort();
  }
}

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

export interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

/** Calls a function once if a signal aborts, or has aborted. Returns the end of it. */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  signal.addEventListener('abort', act, { once: true });
  if (signal.aborted) act();
  return () => signal.removeEventListener('abort', act);
}

/** Creates a promise together with its resolver. Promise.withResolvers needs Node 22. */
export function promiseWithResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
