import { stat } from 'node:fs/promises';
import type { Log } from '../../core/log.ts';
import { WorkerUnsupported } from './worker.ts';
import type { WarmWorker } from './worker.ts';

/** The state of the worker. Each variant carries only what it needs. */
export type WorkerState =
  /** Not supported by this machine or this dstack. */
  | { readonly kind: 'off'; readonly why: string }
  /** Not running. The next command starts it. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'starting'; readonly ready: Promise<WarmWorker | undefined>; readonly giveUpWaitingAt: number }
  | { readonly kind: 'ready'; readonly worker: WarmWorker }
  | { readonly kind: 'stopping'; readonly done: Promise<void> }
  /** It died too often. Commands run as plain processes for a while. */
  | { readonly kind: 'given-up'; readonly why: string; readonly until: number };

export interface KeeperOptions {
  readonly start: () => Promise<WarmWorker>;
  /** Why there can't be a worker at all, if that is known in advance. */
  readonly off?: string | undefined;
  readonly log: Log;
  readonly idleMs: number;
  /** How long commands wait for a starting worker before they run as plain processes. */
  readonly patienceMs: number;
  /** After this many deaths within the period, no more workers are started. */
  readonly maxDeaths: number;
  readonly deathPeriodMs: number;
  /** How long until a worker is tried again. */
  readonly giveUpMs: number;
}

/** Manages at most one worker: starts it once, ends it when idle, replaces it when it dies or when dstack is upgraded. */
export interface WarmKeeper {
  readonly state: WorkerState;
  /** Number of workers started so far. */
  readonly starts: number;
  /** Starts it in the background if it isn't running. */
  warmUp(): void;
  /** Resolves with the worker once it is ready; undefined if a plain process is faster or the only option. */
  acquire(): Promise<WarmWorker | undefined>;
  /** Marks the worker as in use by a command until `release`. */
  use(): { release(): void };
  close(): Promise<void>;
}

/** Creates a keeper without a worker yet. */
export function createWarmKeeper(options: KeeperOptions): WarmKeeper {
  const { log } = options;
  let state: WorkerState = options.off === undefined ? { kind: 'idle' } : { kind: 'off', why: options.off };
  let deaths: number[] = [];
  let users = 0;
  let starts = 0;
  let idleTimer: NodeJS.Timeout | undefined;

  const start = (): WorkerState => {
    starts += 1;
    const ready = options.start().then(onStarted, onStartFailed);
    state = { kind: 'starting', ready, giveUpWaitingAt: performance.now() + options.patienceMs };
    return state;
  };
  const onStarted = (worker: WarmWorker): WarmWorker | undefined => {
    if (state.kind !== 'starting') {
      void worker.end();
      return undefined;
    }
    state = { kind: 'ready', worker };
    log.debug({ pid: worker.pid, ...worker.info, fingerprints: undefined }, 'the warm worker is ready');
    void watch(worker);
    armIdleTimer();
    return worker;
  };
  const watch = async (worker: WarmWorker): Promise<void> => {
    const why = await worker.ended;
    if (state.kind === 'ready' && state.worker === worker) onDeath(why);
  };
  const onStartFailed = (error: unknown): undefined => {
    const why = error instanceof Error ? error.message : String(error);
    if (state.kind !== 'starting') return;
    if (error instanceof WorkerUnsupported) {
      state = { kind: 'off', why };
      log.info({ why }, 'commands run as plain processes');
    } else onDeath(why);
  };
  const onDeath = (why: string): void => {
    deaths = [...deaths.filter((time) => performance.now() - time < options.deathPeriodMs), performance.now()];
    const enough = deaths.length >= options.maxDeaths;
    state = enough ? { kind: 'given-up', why, until: performance.now() + options.giveUpMs } : { kind: 'idle' };
    log.warn(
      { why, deaths: deaths.length },
      enough ? 'the warm worker keeps dying: commands run as plain processes' : 'the warm worker died',
    );
  };

  const stop = async (worker: WarmWorker, why: string): Promise<void> => {
    log.debug({ why }, 'ending the warm worker');
    const stopping = { kind: 'stopping', done: worker.retire() } as const;
    state = stopping;
    await stopping.done;
    if (state === stopping) state = { kind: 'idle' };
  };
  const armIdleTimer = (): void => {
    clearTimeout(idleTimer);
    idleTimer = setTimeout(() => {
      if (state.kind === 'ready' && users === 0) void stop(state.worker, 'it was idle');
    }, options.idleMs).unref();
  };

  return {
    get state() {
      return state;
    },
    get starts() {
      return starts;
    },
    warmUp() {
      if (state.kind === 'idle') start();
    },
    async acquire() {
      if (state.kind === 'ready') {
        const { worker } = state;
        const changed = await findUpgraded(worker.info.fingerprints);
        if (changed === undefined) return worker;
        log.info({ changed }, 'dstack was upgraded: restarting the warm worker');
        // Running commands continue; it accepts no new ones.
        if (state.kind === 'ready' && state.worker === worker) void stop(worker, `${changed} changed`);
      }
      const isOver = state.kind === 'given-up' && performance.now() >= state.until;
      if (isOver || state.kind === 'stopping' || state.kind === 'idle') start();
      return state.kind === 'starting' ? waitFor(state.ready, state.giveUpWaitingAt - performance.now()) : undefined;
    },
    use() {
      users += 1;
      return {
        release() {
          users -= 1;
          if (users === 0) armIdleTimer();
        },
      };
    },
    async close() {
      clearTimeout(idleTimer);
      const before = state;
      state = { kind: 'off', why: 'the server is shutting down' };
      if (before.kind === 'ready') await before.worker.end();
      if (before.kind === 'starting') await before.ready;
      if (before.kind === 'stopping') await before.done;
    },
  };
}

async function waitFor(ready: Promise<WarmWorker | undefined>, limitMs: number): Promise<WarmWorker | undefined> {
  if (limitMs <= 0) return undefined;
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limitMs);
  });
  try {
    return await Promise.race([ready, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the first file that has changed since the worker imported it. */
async function findUpgraded(fingerprints: Readonly<Record<string, string>>): Promise<string | undefined> {
  const states = await Promise.all(
    Object.entries(fingerprints).map(async ([file, before]) =>
      (await fingerprint(file)) === before ? undefined : file,
    ),
  );
  return states.find((file) => file !== undefined);
}

async function fingerprint(file: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return undefined; // missing, so it changed
  }
}
