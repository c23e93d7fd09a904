import type { Log } from '../core/log.ts';
import { pause } from '../core/poll.ts';

/** What is seen of a run; a run that dstack doesn't know (yet) is `missing`. */
export interface RunSnapshot {
  readonly status: string;
  readonly isFinished: boolean;
}

export interface RunWatchOptions {
  /** Looks at one run. What it throws means that nothing is known, which is no change. */
  readonly look: (name: string, signal: AbortSignal) => Promise<RunSnapshot>;
  readonly onChange: (name: string) => void;
  readonly log: Log;
  /** Between two looks at a run that isn't finished: dstack advises 10 to 20 seconds. */
  readonly intervalMs?: number;
  readonly now?: () => number;
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface RunWatch {
  /** Watches a run until the returned function is called, once for each call; nothing where too many runs are watched. */
  watch(name: string): (() => void) | undefined;
  /** Ends every watch and the look that is under way. */
  close(): void;
}

interface Watched {
  watchers: number;
  status?: string;
  dueAt: number;
  failures: number;
}

const INTERVAL_MS = 10_000;
/** What is over may start anew under the same name, but seldom does. */
const FINISHED_FACTOR = 6;
/** The longest pause after failures. */
const MAX_BACKOFF_FACTOR = 12;
const MAX_RUNS = 100;

/** Creates the one poller that all subscriptions share: a run is looked at once, however many watch it. Idle without watchers. */
export function createRunWatch(options: RunWatchOptions): RunWatch {
  const { look, onChange, log, intervalMs = INTERVAL_MS, now = () => performance.now() } = options;
  const sleep = options.pause ?? pause;
  const runs = new Map<string, Watched>();
  let stop = new AbortController();
  let wake = new AbortController();
  let isRunning = false;

  const visit = async (name: string, run: Watched): Promise<void> => {
    try {
      const { status, isFinished } = await look(name, stop.signal);
      const isChange = run.status !== undefined && run.status !== status;
      run.status = status;
      run.failures = 0;
      run.dueAt = now() + intervalMs * (isFinished ? FINISHED_FACTOR : 1);
      // Nobody may be there any more after the look.
      if (isChange && runs.get(name) === run) onChange(name);
    } catch (error) {
      run.failures += 1;
      run.dueAt = now() + intervalMs * Math.min(2 ** run.failures, MAX_BACKOFF_FACTOR);
      log.debug({ err: error, run: name }, 'watch');
    }
  };

  const poll = async (): Promise<void> => {
    while (runs.size > 0) {
      wake = new AbortController();
      // One after the other: a person's own calls come through between them.
      for (const [name, run] of runs) if (run.dueAt <= now()) await visit(name, run);
      const dueAt = Math.min(...[...runs.values()].map((run) => run.dueAt));
      if (runs.size > 0 && !wake.signal.aborted) await sleep(Math.max(0, dueAt - now()), wake.signal);
    }
    isRunning = false;
  };

  const release = (name: string, run: Watched): void => {
    run.watchers -= 1;
    if (run.watchers > 0 || runs.get(name) !== run) return;
    runs.delete(name);
    if (runs.size === 0) {
      stop.abort();
      stop = new AbortController();
    }
    wake.abort();
  };

  return {
    watch(name) {
      let run = runs.get(name);
      if (run === undefined) {
        if (runs.size >= MAX_RUNS) {
          log.warn({ run: name }, 'too many runs are watched');
          return undefined;
        }
        run = { watchers: 0, dueAt: now(), failures: 0 };
        runs.set(name, run);
        wake.abort();
      }
      run.watchers += 1;
      if (!isRunning) {
        isRunning = true;
        void poll();
      }
      const watched = run;
      let isOpen = true;
      return () => {
        if (isOpen) release(name, watched);
        isOpen = false;
      };
    },
    close() {
      runs.clear();
      stop.abort();
      wake.abort();
    },
  };
}
