import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import type { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import type { Log } from '../core/log.ts';
import { pause } from '../core/waiting.ts';
import type { ToolAnswer } from '../tool/call-tool.ts';
import { runOfUri } from './resources.ts';

/** The state of a run at one poll; a run that dstack doesn't know (yet) is `missing`. */
export interface RunSnapshot {
  readonly status: string;
  readonly isFinished: boolean;
}

const runResult = z.looseObject({ run: z.looseObject({ status: z.string(), isFinished: z.boolean() }) });

/** Reads a run's status from a result of the get tool. @throws Error if the result has none */
export function toRunSnapshot(answer: ToolAnswer): RunSnapshot {
  const read = runResult.safeParse(answer.structured);
  if (read.success) return { status: read.data.run.status, isFinished: read.data.run.isFinished };
  if (answer.structured['code'] === 'not-found') return { status: 'missing', isFinished: false };
  throw new Error(answer.text.split('\n')[0]);
}

export interface RunWatchOptions {
  /** Reads the state of one run. An error means that the state is unknown, which isn't a change. */
  readonly read: (name: string, signal: AbortSignal) => Promise<RunSnapshot>;
  readonly onChange: (name: string) => void;
  readonly log: Log;
  /** Time between two polls of an unfinished run. Defaults to 10 seconds: dstack advises 10 to 20. */
  readonly intervalMs?: number;
  readonly now?: () => number;
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface RunWatch {
  /** Watches a run until the returned function is called. Returns undefined if too many runs are watched. */
  watch(name: string): (() => void) | undefined;
  /** Ends every watch and the current poll. */
  close(): void;
}

interface Watched {
  watchers: number;
  status?: string;
  dueAt: number;
  failures: number;
}

const INTERVAL_MS = 10_000;
/** A finished run is polled less often: a new run may get its name, but rarely does. */
const FINISHED_FACTOR = 6;
/** The longest pause after failures. */
const MAX_BACKOFF_FACTOR = 12;
const MAX_RUNS = 100;

/** Creates the poller that all subscriptions share: each run is polled once, no matter how many watch it. Idle without watchers. */
export function createRunWatch(options: RunWatchOptions): RunWatch {
  const { read, onChange, log, intervalMs = INTERVAL_MS, now = () => performance.now() } = options;
  const sleep = options.pause ?? pause;
  const runs = new Map<string, Watched>();
  let stop = new AbortController();
  let wake = new AbortController();
  let isRunning = false;

  const pollRun = async (name: string, run: Watched): Promise<void> => {
    try {
      const { status, isFinished } = await read(name, stop.signal);
      const isChange = run.status !== undefined && run.status !== status;
      run.status = status;
      run.failures = 0;
      run.dueAt = now() + intervalMs * (isFinished ? FINISHED_FACTOR : 1);
      // The last watcher may have left during the poll.
      if (isChange && runs.get(name) === run) onChange(name);
    } catch (error) {
      run.failures += 1;
      run.dueAt = now() + intervalMs * Math.min(2 ** run.failures, MAX_BACKOFF_FACTOR);
      log.debug({ err: error, run: name }, 'watch');
    }
  };

  const pollAll = async (): Promise<void> => {
    while (runs.size > 0) {
      wake = new AbortController();
      // One at a time, so that the user's own calls run in between.
      for (const [name, run] of runs) if (run.dueAt <= now()) await pollRun(name, run);
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
        void pollAll();
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

/**
 * Detects which resources a client of protocol 2026-07-28 listens to, from the messages of its connection: the SDK answers
 * `subscriptions/listen` without saying who listens to what.
 */
export interface SubscriptionListener {
  /** Takes a message from the client, before it is handled. */
  received(message: unknown): void;
  /** Takes a message to the client. */
  sent(message: unknown): void;
  /** Ends every subscription: the connection is closed. */
  close(): void;
}

const id = z.union([z.string(), z.number()]);
const listen = z.looseObject({
  method: z.literal('subscriptions/listen'),
  id,
  params: z.looseObject({ notifications: z.looseObject({ resourceSubscriptions: z.array(z.string()) }) }),
});
const cancelled = z.looseObject({
  method: z.literal('notifications/cancelled'),
  params: z.looseObject({ requestId: id }),
});
const failed = z.looseObject({ id, error: z.unknown() });

/** Creates the listener. `watch` starts watching a URI and returns how to stop, or undefined for a URI that sends no updates. */
export function createSubscriptionListener(watch: (uri: string) => (() => void) | undefined): SubscriptionListener {
  const open = new Map<string | number, readonly (() => void)[]>();
  const end = (key: string | number): void => {
    const ends = open.get(key) ?? [];
    open.delete(key);
    for (const one of ends) one();
  };
  return {
    received(message) {
      const begun = listen.safeParse(message);
      if (begun.success) {
        const uris = new Set(begun.data.params.notifications.resourceSubscriptions);
        const ends = [...uris].flatMap((uri) => watch(uri) ?? []);
        // A repeated id replaces the earlier request.
        end(begun.data.id);
        open.set(begun.data.id, ends);
        return;
      }
      const ended = cancelled.safeParse(message);
      if (ended.success) end(ended.data.params.requestId);
    },
    sent(message) {
      // A rejected request, for example one of too many, isn't a subscription.
      const refused = failed.safeParse(message);
      if (refused.success && refused.data.error !== undefined) end(refused.data.id);
    },
    close() {
      for (const key of open.keys()) end(key);
    },
  };
}

/** Serves `resources/subscribe` of protocol 2025-11-25. Returns a function that ends every subscription of this connection. */
export function registerSubscriptions(server: McpServer, watch: RunWatch): () => void {
  const open = new Map<string, () => void>();
  server.server.setRequestHandler('resources/subscribe', ({ params: { uri } }) => {
    const run = runOfUri(uri);
    if (run === undefined)
      throw new ProtocolError(
        ProtocolErrorCode.InvalidParams,
        `${uri.slice(0, 200)} sends no updates. Only dstack://runs/{name} does.`,
      );
    if (open.has(uri)) return {};
    const end = watch.watch(run);
    if (end === undefined) throw new ProtocolError(ProtocolErrorCode.InternalError, 'Too many runs are being watched.');
    open.set(uri, end);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params: { uri } }) => {
    open.get(uri)?.();
    open.delete(uri);
    return {};
  });
  return () => {
    for (const end of open.values()) end();
    open.clear();
  };
}
