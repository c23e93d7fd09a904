import { stat } from 'node:fs/promises';
import type { Log } from '../../core/log.ts';
import { WorkerUnsupported } from './worker.ts';
import type { WarmWorker } from './worker.ts';

/** Where the worker stands. Each state carries what it needs and no more. */
export type WorkerState =
  /** Not here: what this machine or this dstack can't do. */
  | { readonly kind: 'off'; readonly why: string }
  /** Not running; the next command starts it. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'starting'; readonly ready: Promise<WarmWorker | undefined>; readonly giveUpWaitingAt: number }
  | { readonly kind: 'ready'; readonly worker: WarmWorker }
  | { readonly kind: 'stopping'; readonly done: Promise<void> }
  /** It died too often. Commands run plain for some time. */
  | { readonly kind: 'given-up'; readonly why: string; readonly until: number };

export interface KeeperOptions {
  readonly start: () => Promise<WarmWorker>;
  /** Why there can't be a worker at all, where that is known beforehand. */
  readonly off?: string | undefined;
  readonly log: Log;
  readonly idleMs: number;
  /** A command waits this long for a worker that is starting before it runs plain. */
  readonly patienceMs: number;
  /** This many deaths within the period, and no more are started. */
  readonly maxDeaths: number;
  readonly deathPeriodMs: number;
  /** After this long a worker is tried again. */
  readonly giveUpMs: number;
}

/** Keeps at most one worker: started once, ended when idle, replaced when it dies or when dstack was upgraded. */
export interface WarmKeeper {
  readonly state: WorkerState;
  /** How often a worker was started. */
  readonly starts: number;
  /** Starts it in the background if it isn't there. */
  warmUp(): void;
  /** The worker, once it is ready; undefined when a plain process is the sooner (or the only) way. */
  acquire(): Promise<WarmWorker | undefined>;
  /** Counts a command that uses the worker: it isn't idle until `release`. */
  use(): { release(): void };
  close(): Promise<void>;
}

/** Creates a keeper without a worker yet. */
export function createWarmKeeper(options: KeeperOptions): WarmKeeper {
  const { log } = options;
  let state: WorkerState = options.off === undefined ? { kind: 'idle' } : { kind: 'off', why: options.off };
  let deaths: number[] = [];
  let holders = 0;
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
      if (state.kind === 'ready' && holders === 0) void stop(state.worker, 'it was idle');
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
        log.info({ changed }, 'dstack was upgraded: the warm worker starts anew');
        // What runs in it goes on; it takes nothing new.
        if (state.kind === 'ready' && state.worker === worker) void stop(worker, `${changed} changed`);
      }
      const isOver = state.kind === 'given-up' && performance.now() >= state.until;
      if (isOver || state.kind === 'stopping' || state.kind === 'idle') start();
      return state.kind === 'starting' ? waitFor(state.ready, state.giveUpWaitingAt - performance.now()) : undefined;
    },
    use() {
      holders += 1;
      return {
        release() {
          holders -= 1;
          if (holders === 0) armIdleTimer();
        },
      };
    },
    async close() {
      clearTimeout(idleTimer);
      const before = state;
      state = { kind: 'off', why: 'the server is ending' };
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

/** The first file that isn't as it was when the worker imported it. */
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
    return undefined; // gone: not what it was
  }
}
