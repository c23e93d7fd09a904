import { within } from '../core/waiting.ts';

/** A plan that goes on without a call. */
interface SlowPlan<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
}

/** The time of one call. */
interface CallTime {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Keeps a plan that took longer than its call, so that the same call again continues to wait for it. Only the last one goes on: while
 * dstack's server hangs, more of them would keep other commands waiting.
 */
export class SlowPlans<T> {
  #last: (SlowPlan<T> & { readonly key: string }) | undefined;

  /** Returns the plan, or undefined if it isn't there in time. A cancelled call ends its plan. */
  async wait(
    key: string,
    { waitMs, signal }: CallTime,
    start: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly plan: T } | undefined> {
    const slow = this.#take(key) ?? startPlan(start);
    const onCancel = (): void => slow.abort.abort();
    signal.addEventListener('abort', onCancel, { once: true });
    if (signal.aborted) onCancel();
    try {
      const done = await within(
        waitMs,
        slow.result.then((plan) => ({ plan })),
      );
      if (done === undefined) this.#keep(key, slow);
      return done;
    } finally {
      signal.removeEventListener('abort', onCancel);
    }
  }

  #take(key: string): SlowPlan<T> | undefined {
    const slow = this.#last;
    if (slow?.key !== key) return undefined;
    this.#last = undefined;
    return slow;
  }

  #keep(key: string, slow: SlowPlan<T>): void {
    slow.result.catch(() => undefined);
    this.#last?.abort.abort();
    this.#last = { ...slow, key };
  }
}

function startPlan<T>(start: (signal: AbortSignal) => Promise<T>): SlowPlan<T> {
  const abort = new AbortController();
  return { result: start(abort.signal), abort };
}
