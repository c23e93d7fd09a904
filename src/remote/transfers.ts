import { onAbort, within } from '../core/waiting.ts';
import { ToolError } from '../core/errors.ts';
import type { CopyState } from './copy-tree.ts';

/** Does the work of one transfer, until it is done or the signal aborts. */
export type Transfer<T> = (scope: {
  readonly signal: AbortSignal;
  readonly onProgress: (state: CopyState) => void;
}) => Promise<T>;

/** The time of one call, and its progress. */
export interface TransferCall {
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: (state: CopyState) => void;
}

/** A transfer after a call: done, or still running. */
export type TransferResult<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'running'; readonly state: CopyState | undefined };

interface Running<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  readonly watchers: Set<(state: CopyState) => void>;
  state: CopyState | undefined;
  endedAtMs: number | undefined;
}

/** More at the same time would only share the same connection. */
const MAX_RUNNING = 4;
const MAX_DURATION_MS = 60 * 60 * 1_000;

/** Keeps transfers that take longer than their call: the same call again waits for the rest, and a canceled call ends its transfer. */
export class Transfers<T> {
  readonly #all = new Map<string, Running<T>>();
  readonly #now: () => number;

  constructor({ now = () => performance.now() }: { readonly now?: () => number } = {}) {
    this.#now = now;
  }

  /** Forgets a transfer that ended this long ago, since its last call: what it copied may have changed by now. */
  forgetEnded(key: string, agoMs: number): void {
    const { endedAtMs } = this.#all.get(key) ?? {};
    if (endedAtMs !== undefined && this.#now() - endedAtMs >= agoMs) this.#all.delete(key);
  }

  /** Whether a transfer with this key goes on, or has ended well since its last call and isn't forgotten. */
  has(key: string): boolean {
    return this.#all.has(key);
  }

  /**
   * Waits for the transfer with this key, and starts it if there is none.
   * @throws ToolError `busy` if too many are running; the error of the transfer
   */
  async wait(key: string, { waitMs, signal, onProgress }: TransferCall, work: Transfer<T>): Promise<TransferResult<T>> {
    const running = this.#all.get(key) ?? this.#start(key, work);
    const stopListening = onAbort(signal, () => running.abort.abort());
    running.watchers.add(onProgress);
    try {
      const done = await within(
        waitMs,
        running.result.then((value) => ({ value })),
      );
      if (done === undefined) return { kind: 'running', state: running.state };
      this.#all.delete(key);
      return { kind: 'done', value: done.value };
    } finally {
      running.watchers.delete(onProgress);
      stopListening();
    }
  }

  /** Ends every transfer, and waits until nothing of them is left. */
  async close(): Promise<void> {
    const all = [...this.#all.values()];
    for (const { abort } of all) abort.abort();
    await Promise.allSettled(all.map(({ result }) => result));
  }

  #start(key: string, work: Transfer<T>): Running<T> {
    if ([...this.#all.values()].filter(({ endedAtMs }) => endedAtMs === undefined).length >= MAX_RUNNING) throw busy();
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), MAX_DURATION_MS);
    timer.unref();
    const watchers: Running<T>['watchers'] = new Set();
    const onProgress = (state: CopyState): void => {
      running.state = state;
      for (const watch of watchers) watch(state);
    };
    const result = work({ signal: abort.signal, onProgress }).finally(() => {
      running.endedAtMs = this.#now();
      clearTimeout(timer);
    });
    const running: Running<T> = { result, abort, watchers, state: undefined, endedAtMs: undefined };
    this.#all.set(key, running);
    // A failure is reported to the calls that wait for it. A later call tries again.
    result.catch(() => {
      if (this.#all.get(key) === running) this.#all.delete(key);
    });
    return running;
  }
}

const busy = (): ToolError =>
  new ToolError(
    'busy',
    `${MAX_RUNNING} files or folders are being copied. Nothing was copied.`,
    'Call copy again with the arguments of one of them to wait for it.',
  );
