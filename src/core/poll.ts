import { isDeepStrictEqual } from 'node:util';

/** How a wait ended, with the last value that was seen. */
export type Waited<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Time was up. `value` is missing when not even the first poll had answered. */
  | { readonly kind: 'time-is-up'; readonly value?: T }
  | { readonly kind: 'cancelled'; readonly value?: T };

export interface WaitOptions<T> {
  /** Asks once. Its signal is aborted when the answer is no longer waited for. */
  readonly poll: (signal: AbortSignal) => Promise<T>;
  readonly done: (value: T) => boolean;
  /** The first pause; it grows by half while nothing changes, up to five times this, and starts anew on a change. */
  readonly intervalMs: number;
  /** Milliseconds from now by which the wait ends, whatever `poll` does. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Called with the first value and each one that differs from the one before. */
  readonly onChange?: (value: T) => void;
}

const GROWTH = 1.5;
const LARGEST_PAUSE = 5;

/** Polls until a value is `done`, time is up or it is cancelled, and says which. What `poll` throws goes through. */
export async function waitFor<T>(options: WaitOptions<T>): Promise<Waited<T>> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  const timer = setTimeout(onAbort, Math.max(0, options.deadlineMs));
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted === true) onAbort();
  try {
    const last = await pollUntilDone(options, stop.signal);
    if (last !== undefined && options.done(last.value)) return { kind: 'done', value: last.value };
    return { kind: options.signal?.aborted === true ? 'cancelled' : 'time-is-up', ...last };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
    // A poll that is still under way has nobody left to answer.
    stop.abort();
  }
}

/** Waits, but not beyond an abort. */
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
  let last: { readonly value: T } | undefined;
  let pauseMs = options.intervalMs;
  while (!stop.aborted) {
    const polled = await untilAborted(options.poll(stop), stop);
    if (polled === undefined) return last;
    if (last === undefined || !isDeepStrictEqual(last.value, polled.value)) {
      options.onChange?.(polled.value);
      pauseMs = options.intervalMs;
    }
    last = polled;
    if (options.done(polled.value)) return last;
    await pause(pauseMs, stop);
    pauseMs = Math.min(pauseMs * GROWTH, options.intervalMs * LARGEST_PAUSE);
  }
  return last;
}

/** The value, or nothing when the abort came first; what the promise does after that is dropped. */
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
      // A poll that stops because it was told to has not failed.
      (error: unknown) => settle(() => (stop.aborted ? resolve(undefined) : reject(error))),
    );
  });
}
