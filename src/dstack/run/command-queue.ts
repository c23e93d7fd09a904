import PQueue from 'p-queue';
import { ToolError } from '../../core/errors.ts';

/** Runs a bounded number of jobs at a time; a bounded number wait, first come, first served. */
export interface CommandQueue {
  /**
   * Runs a job in its turn. Resolves with undefined, and never runs it, if the signal aborts while it waits.
   * @throws ToolError `busy` if too many jobs are waiting; otherwise what the job throws.
   */
  run<T>(signal: AbortSignal, job: () => Promise<T>): Promise<T | undefined>;
  /** Resolves when no job is running or waiting. */
  settled(): Promise<void>;
}

/** Creates an empty queue. */
export function createCommandQueue(maxConcurrent: number, maxQueued: number): CommandQueue {
  const queue = new PQueue({ concurrency: maxConcurrent });
  return {
    async run(signal, job) {
      if (queue.size >= maxQueued)
        throw new ToolError(
          'busy',
          `${maxQueued} dstack commands are already waiting. Nothing was run.`,
          'Wait for the running calls to finish, then call again.',
        );
      // Not `signal` itself: on abort, p-queue would also abandon a running job and free its slot.
      const waiting = new AbortController();
      const leave = (): void => waiting.abort();
      signal.addEventListener('abort', leave, { once: true });
      if (signal.aborted) leave();
      const begin = async () => {
        signal.removeEventListener('abort', leave);
        return job();
      };
      try {
        return await queue.add(begin, { signal: waiting.signal });
      } catch (error) {
        if (waiting.signal.aborted) return undefined;
        throw error;
      } finally {
        signal.removeEventListener('abort', leave);
      }
    },
    settled: () => queue.onIdle(),
  };
}
