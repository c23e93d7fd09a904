import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import * as z from 'zod';
import { messageOf } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { within } from '../../core/waiting.ts';
import { readPrivateJson, writePrivateJson } from '../../safety/files/private-files.ts';
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
  /** Starts a worker; the signal kills it while it isn't ready. */
  readonly start: (closing: AbortSignal) => Promise<WarmWorker>;
  /** Why there can't be a worker at all, if that is known in advance. */
  readonly off?: string | undefined;
  readonly log: Log;
  /** The worker ends after this long without a command. */
  readonly idleMs: number;
  /** It ends after this long if another server of this user has run a command since. */
  readonly idleElsewhereMs: number;
  readonly lastUsed: LastUsed;
  /** How long commands wait for a starting worker before they run as plain processes. */
  readonly patienceMs: number;
  /** After this many deaths within the period, no more workers are started. */
  readonly maxDeaths: number;
  readonly deathPeriodMs: number;
  /** How long until a worker is tried again. */
  readonly giveUpMs: number;
}

/** Manages at most one worker: starts it once, ends it when idle, replaces it when it dies or when dstack is upgraded. */
export class WarmKeeper {
  readonly #options: KeeperOptions;
  #state: WorkerState;
  #deaths: number[] = [];
  #users = 0;
  #starts = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#state = options.off === undefined ? { kind: 'idle' } : { kind: 'off', why: options.off };
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** Number of workers started so far. */
  get starts(): number {
    return this.#starts;
  }

  /** Starts it in the background if it isn't running. */
  warmUp(): void {
    if (this.#state.kind === 'idle') this.#start();
  }

  /** Resolves with the worker once it is ready; undefined if a plain process is faster or the only option. */
  async acquire(): Promise<WarmWorker | undefined> {
    if (this.#state.kind === 'ready') {
      const { worker } = this.#state;
      const changed = await findUpgraded(worker.info.fingerprints);
      if (changed === undefined) return worker;
      this.#options.log.info({ changed }, 'dstack was upgraded: restarting the warm worker');
      // Running commands continue; it accepts no new ones.
      if (this.#isReady(worker)) void this.#stop(worker, `${changed} changed`);
    }
    const { kind } = this.#state;
    const isOver = this.#state.kind === 'given-up' && performance.now() >= this.#state.until;
    if (isOver || kind === 'stopping' || kind === 'idle') this.#start();
    const state = this.#state;
    return state.kind === 'starting' ? within(state.giveUpWaitingAt - performance.now(), state.ready) : undefined;
  }

  /** Marks the worker as in use by a command until `release`. */
  use(): { release(): void } {
    this.#users += 1;
    this.#options.lastUsed.claim();
    return {
      release: () => {
        this.#users -= 1;
        if (this.#users === 0) this.#armIdleTimer();
      },
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#idleTimer);
    this.#closing.abort();
    const before = this.#state;
    this.#state = { kind: 'off', why: 'the server is shutting down' };
    if (before.kind === 'ready') await before.worker.end();
    if (before.kind === 'starting') await before.ready;
    if (before.kind === 'stopping') await before.done;
  }

  #isReady(worker: WarmWorker): boolean {
    return this.#state.kind === 'ready' && this.#state.worker === worker;
  }

  #start(): void {
    this.#starts += 1;
    const ready = this.#options.start(this.#closing.signal).then(
      (worker) => this.#onStarted(worker),
      (error: unknown) => this.#onStartFailed(error),
    );
    this.#state = { kind: 'starting', ready, giveUpWaitingAt: performance.now() + this.#options.patienceMs };
  }

  #onStarted(worker: WarmWorker): WarmWorker | undefined {
    if (this.#state.kind !== 'starting') {
      void worker.end();
      return undefined;
    }
    this.#state = { kind: 'ready', worker };
    this.#options.log.debug({ pids: worker.pids, ...worker.info, fingerprints: undefined }, 'the warm worker is ready');
    void this.#watch(worker);
    this.#armIdleTimer();
    return worker;
  }

  async #watch(worker: WarmWorker): Promise<void> {
    const why = await worker.ended;
    if (this.#isReady(worker)) this.#onDeath(why);
  }

  #onStartFailed(error: unknown): undefined {
    const why = messageOf(error);
    if (this.#state.kind !== 'starting') return;
    if (error instanceof WorkerUnsupported) {
      this.#state = { kind: 'off', why };
      this.#options.log.info({ why }, 'commands run as plain processes');
    } else this.#onDeath(why);
  }

  #onDeath(why: string): void {
    const { deathPeriodMs, maxDeaths, giveUpMs, log } = this.#options;
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((time) => now - time < deathPeriodMs), now];
    const deaths = this.#deaths.length;
    if (deaths >= maxDeaths) {
      this.#state = { kind: 'given-up', why, until: now + giveUpMs };
      log.warn({ why, deaths }, 'the warm worker keeps dying: commands run as plain processes');
    } else {
      this.#state = { kind: 'idle' };
      log.warn({ why, deaths }, 'the warm worker died');
    }
  }

  async #stop(worker: WarmWorker, why: string): Promise<void> {
    this.#options.log.debug({ why }, 'ending the warm worker');
    clearInterval(this.#idleTimer);
    const stopping = { kind: 'stopping', done: worker.retire() } as const;
    this.#state = stopping;
    await stopping.done;
    if (this.#state === stopping) this.#state = { kind: 'idle' };
  }

  /** Starts the time without a command. */
  #armIdleTimer(): void {
    const since = performance.now();
    const check = async (): Promise<void> => {
      const isOurs = await this.#options.lastUsed.isOurs();
      if (this.#idleTimer !== timer || this.#users > 0 || this.#state.kind !== 'ready') return;
      if (isIdleForLong(performance.now() - since, isOurs, this.#options))
        await this.#stop(this.#state.worker, isOurs ? 'it was idle' : 'another server runs commands now');
    };
    clearInterval(this.#idleTimer);
    const timer = setInterval(
      () => void check(),
      Math.min(this.#options.idleElsewhereMs, this.#options.idleMs),
    ).unref();
    this.#idleTimer = timer;
  }
}

/** Decides whether an idle worker is ended. */
export const isIdleForLong = (
  idleForMs: number,
  isOurs: boolean,
  { idleMs, idleElsewhereMs }: Pick<KeeperOptions, 'idleMs' | 'idleElsewhereMs'>,
): boolean => idleForMs >= (isOurs ? idleMs : Math.min(idleElsewhereMs, idleMs));

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

/** Which of this user's servers ran a command last: only that one keeps its warm processes for long. */
export interface LastUsed {
  /** Records that this server runs a command. */
  claim(): void;
  /** Whether no other server has run a command since then. */
  isOurs(): Promise<boolean>;
}

const content = z.strictObject({ server: z.string() });

/** A command each second must not write a file each second. */
const CLAIM_MS = 5_000;

/** Creates the record in a file that the servers with the same state folder share. Without the file, each server is the last one. */
export function createLastUsed(file: string, log: Log): LastUsed {
  const server = randomUUID();
  let claimedAt = -Infinity;
  let written = Promise.resolve();
  return {
    claim() {
      const now = performance.now();
      if (now - claimedAt < CLAIM_MS) return;
      claimedAt = now;
      written = writePrivateJson(file, { server }, log);
    },
    async isOurs() {
      await written;
      const last = await readPrivateJson(file, content);
      return last === undefined || last.server === server;
    },
  };
}
