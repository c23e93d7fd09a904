/** The result of a poll: `changed` schedules the next one soon, `same` later, `over` none. */
export type PollResult = 'changed' | 'same' | 'over';

export interface PollTask {
  readonly poll: () => Promise<PollResult>;
  readonly firstMs: number;
  readonly maxMs: number;
  /** Called when a poll fails. The poll is retried later. */
  readonly onFailure?: (why: string) => void;
}

/** The card's only queue of polls: one at a time, less often while nothing changes, and none while the card is hidden. */
export interface Poller {
  /** Starts polling immediately. Returns a function that stops it. */
  add(task: PollTask): () => void;
}

interface Entry extends PollTask {
  waitMs: number;
  dueAt: number;
}

/** The clock and the visibility of the page. */
export interface PollerEnvironment {
  readonly now: () => number;
  readonly isHidden: () => boolean;
  readonly onVisibilityChange: (listener: () => void) => void;
}

const BACKOFF = 1.5;

/** Creates the poller of a page. */
export function createPoller({ now, isHidden, onVisibilityChange }: PollerEnvironment): Poller {
  const entries = new Set<Entry>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isPolling = false;

  const schedule = (): void => {
    clearTimeout(timer);
    if (isPolling || isHidden() || entries.size === 0) return;
    const next = Math.min(...[...entries].map(({ dueAt }) => dueAt));
    timer = setTimeout(() => void pollNext(), Math.max(0, next - now()));
  };

  const pollNext = async (): Promise<void> => {
    const due = [...entries].sort((a, b) => a.dueAt - b.dueAt)[0];
    if (due === undefined) return;
    isPolling = true;
    const result = await due.poll().catch((error: unknown): PollResult => {
      due.onFailure?.(error instanceof Error ? error.message : 'no answer');
      return 'same';
    });
    isPolling = false;
    if (result === 'over') entries.delete(due);
    due.waitMs = result === 'changed' ? due.firstMs : Math.min(due.maxMs, due.waitMs * BACKOFF);
    due.dueAt = now() + due.waitMs;
    schedule();
  };

  onVisibilityChange(() => {
    // A card that becomes visible again shows the current state immediately.
    if (!isHidden()) for (const entry of entries) entry.dueAt = now();
    schedule();
  });

  return {
    add(task) {
      const entry = { ...task, waitMs: task.firstMs, dueAt: now() };
      entries.add(entry);
      schedule();
      return () => {
        entries.delete(entry);
        schedule();
      };
    },
  };
}
