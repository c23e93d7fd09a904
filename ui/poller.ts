/** What a look came to: `changed` brings the next one soon, `same` later, `over` ends them. */
export type Look = 'changed' | 'same' | 'over';

export interface PollTask {
  readonly look: () => Promise<Look>;
  readonly firstMs: number;
  readonly maxMs: number;
  /** Told of a look that failed; it is made again, later. */
  readonly onFailure?: (why: string) => void;
}

/** One queue of looks for the whole card: one at a time, later while nothing changes, none while nobody sees the page. */
export interface Poller {
  /** Starts looking, at once; gives what ends it. */
  add(task: PollTask): () => void;
}

interface Entry extends PollTask {
  waitMs: number;
  dueAt: number;
}

/** Where the poller gets the time and learns whether the page is seen; a page has both. */
export interface PollerWorld {
  readonly now: () => number;
  readonly isHidden: () => boolean;
  readonly onVisibility: (listener: () => void) => void;
}

const GROWTH = 1.5;

/** Makes the poller of a page. */
export function createPoller(world: PollerWorld): Poller {
  const entries = new Set<Entry>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isLooking = false;

  const schedule = (): void => {
    clearTimeout(timer);
    if (isLooking || world.isHidden() || entries.size === 0) return;
    const next = Math.min(...[...entries].map(({ dueAt }) => dueAt));
    timer = setTimeout(() => void lookNext(), Math.max(0, next - world.now()));
  };

  const lookNext = async (): Promise<void> => {
    const due = [...entries].sort((a, b) => a.dueAt - b.dueAt)[0];
    if (due === undefined) return;
    isLooking = true;
    const found = await due.look().catch((error: unknown): Look => {
      due.onFailure?.(error instanceof Error ? error.message : 'no answer');
      return 'same';
    });
    isLooking = false;
    if (found === 'over') entries.delete(due);
    due.waitMs = found === 'changed' ? due.firstMs : Math.min(due.maxMs, due.waitMs * GROWTH);
    due.dueAt = world.now() + due.waitMs;
    schedule();
  };

  world.onVisibility(() => {
    // Whoever comes back wants to see what is true now.
    if (!world.isHidden()) for (const entry of entries) entry.dueAt = world.now();
    schedule();
  });

  return {
    add(task) {
      const entry = { ...task, waitMs: task.firstMs, dueAt: world.now() };
      entries.add(entry);
      schedule();
      return () => {
        entries.delete(entry);
        schedule();
      };
    },
  };
}
