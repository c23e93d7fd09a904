import pLimit from 'p-limit';
import { ToolError } from '../../core/errors.ts';
import type { Interrupted, Interruption } from './interruption.ts';

/** Something to be done in its turn. */
interface Job<T> {
  readonly interruption: Interruption;
  run(): Promise<T>;
  /** What it comes to when its time was over before its turn came. */
  neverBegan(why: Interrupted): T;
}

/** A bounded number of jobs at a time, and a bounded number that wait, in the order in which they came. */
export interface CommandQueue {
  /** @throws ToolError `busy` when too many wait. */
  add<T>(job: Job<T>): Promise<T>;
  /** Settles when every job so far has ended. */
  settled(): Promise<void>;
}

/** Creates a queue; a job whose interruption happens while it waits is answered at once, and never run. */
export function createCommandQueue(maxConcurrent: number, maxQueued: number): CommandQueue {
  const limit = pLimit(maxConcurrent);
  const active = new Set<Promise<unknown>>();
  return {
    async add(job) {
      const { interruption } = job;
      if (limit.pendingCount >= maxQueued) {
        interruption.dispose();
        throw new ToolError(
          'busy',
          `${maxQueued} dstack commands are waiting already. Nothing was run.`,
          'Wait for the running calls, then call again.',
        );
      }
      let begun = false;
      const turn = limit(async () => {
        const interrupted = interruption.now();
        if (interrupted !== undefined) return job.neverBegan(interrupted);
        begun = true;
        return job.run();
      });
      active.add(turn);
      const leave = (): void => {
        active.delete(turn);
        interruption.dispose();
      };
      turn.then(leave, leave);
      const waited = interruption.happened.then((why) => (begun ? turn : job.neverBegan(why)));
      return Promise.race([turn, waited]);
    },
    async settled() {
      await Promise.allSettled(active);
    },
  };
}
