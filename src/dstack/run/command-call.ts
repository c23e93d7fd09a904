import { performance } from 'node:perf_hooks';
import PQueue from 'p-queue';
import { ToolError } from '../../core/errors.ts';
import type { Exit, Transcript } from '../../core/transcript.ts';
import { onAbort } from '../../core/waiting.ts';
import { isCheckedArgv } from '../argv/check-argv.ts';
import { showCommand } from '../argv/command.ts';
import type { CheckedArgv } from '../argv/command.ts';
import type { ReadOptions, RunOptions } from './runner.ts';

/** Why a command is no longer waited for. */
export type AbortReason = 'timed-out' | 'cancelled' | 'closing';

/** Aborts on the first of deadline, cancellation and shutdown. */
export interface CallLimit {
  readonly signal: AbortSignal;
  /** Why the signal aborted; undefined while it hasn't. */
  reason(): AbortReason | undefined;
  /** Settles as the promise does, or resolves with the reason if the signal aborts first. */
  race<T>(promise: Promise<T>): Promise<T | AbortReason>;
}

/** Creates the limit of one call. */
export function createCallLimit(
  { timeoutMs, signal: cancel }: Pick<RunOptions, 'timeoutMs' | 'signal'>,
  closing: AbortSignal,
): CallLimit {
  const deadline = AbortSignal.timeout(Math.ceil(timeoutMs));
  const signal = AbortSignal.any([...(cancel === undefined ? [] : [cancel]), closing, deadline]);
  // This closure also keeps `deadline` alive: Node 20 collects a timeout signal that only `any` refers to, and it never fires.
  const reason = (): AbortReason | undefined => {
    if (!signal.aborted) return undefined;
    if (deadline.aborted && signal.reason === deadline.reason) return 'timed-out';
    return closing.aborted && signal.reason === closing.reason ? 'closing' : 'cancelled';
  };
  return {
    signal,
    reason,
    race(promise) {
      return new Promise((resolve, reject) => {
        const abandon = (): void => resolve(reason() ?? 'cancelled');
        const stopListening = (): void => signal.removeEventListener('abort', abandon);
        signal.addEventListener('abort', abandon, { once: true });
        void promise.then(resolve, reject).finally(stopListening);
        // After a promise that has already settled: what happened counts more than the limit.
        if (signal.aborted) queueMicrotask(abandon);
      });
    },
  };
}

/** One command on its way through a runner. */
export interface CommandCall {
  readonly argv: CheckedArgv;
  readonly options: ReadOptions;
  readonly startedAt: number;
  readonly limit: CallLimit;
}

/** Starts the clock of a call. @throws TypeError unless the argv was made by the check against the catalog */
export function startCall(argv: CheckedArgv, options: CommandCall['options'], closing: AbortSignal): CommandCall {
  if (!isCheckedArgv(argv)) throw new TypeError('this argv was not made by the check against the catalog');
  return { argv, options, startedAt: performance.now(), limit: createCallLimit(options, closing) };
}

/** Whether a command continues in the background past its limit. A replace stops the old run before it submits the new one: ended halfway, it would leave neither. */
export const outlivesCall = ({ argv }: Pick<CommandCall, 'argv'>): boolean =>
  argv.effect !== 'read' && argv.command === 'apply';

/** Time for a change to finish, also after its call or this server has ended. dstack itself sets no limit on a request. */
export const CHANGE_LIMIT_MS = 300_000;

/** The exit of a command whose limit was reached before it began. */
export function exitBeforeStart(reason: AbortReason): Exit {
  if (reason === 'cancelled') return { kind: 'cancelled' };
  const why = reason === 'closing' ? 'this server is shutting down' : 'timed out waiting for other dstack commands';
  return { kind: 'not-started', reason: why };
}

type Output = Pick<Transcript, 'stdout' | 'stderr' | 'omittedBytes'>;

/** The end of a call, or what is known of it so far. Without `printed`, there was no output. */
type CallEnd = Pick<Transcript, 'ran'> & Partial<Transcript> & { readonly printed?: Output };

/** Creates the transcript of a call. */
export function toTranscript<End extends CallEnd>(
  call: CommandCall,
  { printed, ...end }: End,
): Omit<End, 'printed'> & Output & Pick<Transcript, 'command' | 'durationMs'> {
  const durationMs = Math.round(performance.now() - call.startedAt);
  const output = printed ?? { stdout: '', stderr: '', omittedBytes: 0 };
  return { ...end, ...output, command: showCommand(call.argv.argv), durationMs };
}

/** Runs a bounded number of jobs at a time; a bounded number wait, first come, first served. */
interface CommandQueue {
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
      const stopListening = onAbort(signal, () => waiting.abort());
      const begin = async () => {
        stopListening();
        return job();
      };
      try {
        return await queue.add(begin, { signal: waiting.signal });
      } catch (error) {
        if (waiting.signal.aborted) return undefined;
        throw error;
      } finally {
        stopListening();
      }
    },
    settled: () => queue.onIdle(),
  };
}
