/** Why a command isn't waited for any longer. */
export type Interrupted = 'timed-out' | 'cancelled' | 'closing';

/** The first of deadline, cancellation and the runner's end. */
export interface Interruption {
  readonly happened: Promise<Interrupted>;
  /** The same, for asking at once. */
  now(): Interrupted | undefined;
  /** Takes the timer and the listeners away. */
  dispose(): void;
}

/** Watches for what ends the waiting for a command. */
export function watchInterruption(
  timeoutMs: number,
  cancel: AbortSignal | undefined,
  closing: AbortSignal,
): Interruption {
  const ended = new AbortController();
  const { promise: happened, resolve } = withResolvers<Interrupted>();
  let first: Interrupted | undefined;
  const interrupt = (why: Interrupted): void => {
    first ??= why;
    resolve(first);
  };
  const timer = setTimeout(() => interrupt('timed-out'), timeoutMs);
  const listen = (signal: AbortSignal | undefined, why: Interrupted): void => {
    if (signal?.aborted === true) interrupt(why);
    signal?.addEventListener('abort', () => interrupt(why), { once: true, signal: ended.signal });
  };
  listen(cancel, 'cancelled');
  listen(closing, 'closing');
  return {
    happened,
    now: () => first,
    dispose() {
      clearTimeout(timer);
      ended.abort();
    },
  };
}

// Promise.withResolvers came with Node 22.
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let settle: ((value: T) => void) | undefined;
  const promise = new Promise<T>((resolve) => (settle = resolve));
  return { promise, resolve: (value) => settle?.(value) };
}
