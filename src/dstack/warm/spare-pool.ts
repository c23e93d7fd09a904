import { availableParallelism } from 'node:os';
import { messageOf } from '../../core/errors.ts';
import { promiseWithResolvers } from '../../core/waiting.ts';
import type { HandOver, WarmRequest, WorkerInfo } from './channel.ts';
import { SpareProcess } from './spare-process.ts';
import { WorkerUnsupported } from './worker.ts';
import type { ProcessOptions, WarmWorker } from './worker.ts';

interface SparePoolOptions extends ProcessOptions {
  /** How long a spare has to become ready. */
  readonly startTimeoutMs: number;
}

/** A command that waits for a spare. It gets one, or why there is none. */
type Waiter = (spare: SpareProcess | string) => void;

const ATTEMPTS = 3;
/** A replacement is imported only after the command has had its first time slices. */
const REFILL_MS = 300;
const MAX_STARTING = Math.min(4, availableParallelism());

/**
 * Starts a pool of spare processes and resolves when the first one is ready. Until then, the signal kills it.
 * @throws WorkerUnsupported if it can't serve this dstack; Error if the start failed.
 */
export async function startSparePool(options: SparePoolOptions, closing: AbortSignal): Promise<WarmWorker> {
  const first = startSpare(options);
  const kill = (): void => first.kill();
  closing.addEventListener('abort', kill);
  try {
    const info = await first.ready;
    return new SparePool(options, first, info);
  } finally {
    closing.removeEventListener('abort', kill);
  }
}

function startSpare(options: SparePoolOptions): SpareProcess {
  const spare = new SpareProcess(options);
  const timer = setTimeout(() => spare.kill(), options.startTimeoutMs);
  void spare.ready.catch(() => undefined).finally(() => clearTimeout(timer));
  return spare;
}

/** Spare processes that wait for commands: each runs one, and is replaced in the background. */
class SparePool implements WarmWorker {
  readonly info: WorkerInfo;
  readonly ended: Promise<string>;
  readonly #options: SparePoolOptions;
  readonly #idle: SpareProcess[] = [];
  readonly #starting = new Set<SpareProcess>();
  /** The spares that have a request, until they end. */
  readonly #running = new Map<SpareProcess, WarmRequest>();
  readonly #waiting: Waiter[] = [];
  readonly #markEnded: (reason: string) => void;
  #lastBurst = -Infinity;
  #endedWhy: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SparePoolOptions, first: SpareProcess, info: WorkerInfo) {
    const { promise, resolve } = promiseWithResolvers<string>();
    this.#options = options;
    this.info = info;
    this.ended = promise;
    this.#markEnded = resolve;
    this.#keep(first);
  }

  get pids(): readonly number[] {
    return [...this.#idle, ...this.#running.keys()].map(({ pid }) => pid);
  }

  async handOver(request: WarmRequest, timeoutMs: number): Promise<HandOver> {
    // Its output and its events arrive independently, and what a held change has printed is judged.
    if (request.wire?.asks === true) return { kind: 'refused', reason: 'a change that is held needs its own process' };
    let reason = '';
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const spare = await this.#take(request.abandoned);
      if (typeof spare === 'string') return { kind: 'refused', reason: spare };
      this.#running.set(spare, request);
      void spare.exited.then(() => this.#onCommandEnd(spare));
      this.#balanceLater(REFILL_MS);
      const offer = await spare.offer(request, timeoutMs);
      if (offer.kind !== 'died') return offer;
      ({ reason } = offer);
    }
    return { kind: 'refused', reason };
  }

  async end(): Promise<void> {
    const spares = [...this.#idle, ...this.#starting];
    this.#close('it was ended');
    const reads = [...this.#running].filter(([, { outlivesServer }]) => !outlivesServer()).map(([spare]) => spare);
    for (const spare of reads) spare.kill();
    // A change may finish, and isn't waited for.
    for (const spare of this.#running.keys()) spare.keepAlive(reads.includes(spare));
    await Promise.all([...spares, ...reads].map(({ exited }) => exited));
  }

  async retire(): Promise<void> {
    this.#close('it was retired');
    await Promise.all([...this.#running.keys()].map(({ exited }) => exited));
  }

  /** Takes a spare that is ready, or waits for one. */
  #take(abandoned: AbortSignal): Promise<SpareProcess | string> | SpareProcess | string {
    if (this.#endedWhy !== undefined) return this.#endedWhy;
    const ready = this.#idle.shift();
    if (ready !== undefined) {
      ready.keepAlive(true);
      return ready;
    }
    this.#lastBurst = performance.now();
    if (abandoned.aborted) return 'nobody waits for it anymore';
    return new Promise((resolve) => {
      const leave = (): void => answer('nobody waits for it anymore');
      const answer: Waiter = (spare) => {
        const at = this.#waiting.indexOf(answer);
        if (at >= 0) this.#waiting.splice(at, 1);
        abandoned.removeEventListener('abort', leave);
        resolve(spare);
      };
      abandoned.addEventListener('abort', leave, { once: true });
      this.#waiting.push(answer);
      this.#balance();
    });
  }

  #counts(): SpareCounts {
    return {
      idle: this.#idle.length,
      starting: this.#starting.size,
      waiting: this.#waiting.length,
      sinceBurstMs: performance.now() - this.#lastBurst,
    };
  }

  /** Starts the spares that are missing, and ends those that are no longer needed. */
  #balance(): void {
    if (this.#endedWhy !== undefined) return;
    for (let missing = sparesToStart(this.#counts(), MAX_STARTING); missing > 0; missing -= 1) void this.#start();
    for (const spare of this.#idle.splice(0, sparesToEnd(this.#counts()))) spare.kill();
  }

  #balanceLater(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#balance(), ms).unref();
  }

  async #start(): Promise<void> {
    let spare: SpareProcess | undefined;
    try {
      spare = startSpare(this.#options);
      this.#starting.add(spare);
      const info = await spare.ready;
      this.#starting.delete(spare);
      if (this.#endedWhy !== undefined) spare.kill();
      else if (JSON.stringify(info.fingerprints) !== JSON.stringify(this.info.fingerprints)) this.#onUpgrade(spare);
      else this.#keep(spare);
    } catch (error) {
      if (spare !== undefined) this.#starting.delete(spare);
      const reason = messageOf(error);
      // Whoever waits longest runs plain; the pool's own end lets the next command try again.
      if (error instanceof WorkerUnsupported || this.#idle.length === 0) this.#close(reason);
    }
  }

  #keep(spare: SpareProcess): void {
    const waiter = this.#waiting[0];
    if (waiter !== undefined) return waiter(spare);
    spare.keepAlive(false);
    this.#idle.push(spare);
    void this.#forgetOnExit(spare);
    // The second spare is ended some time after the burst.
    const { sinceBurstMs } = this.#counts();
    if (sinceBurstMs < BURST_MS) this.#balanceLater(BURST_MS - sinceBurstMs + 1);
  }

  async #forgetOnExit(spare: SpareProcess): Promise<void> {
    await spare.exited;
    const at = this.#idle.indexOf(spare);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #onUpgrade(spare: SpareProcess): void {
    spare.kill();
    this.#close('dstack was upgraded');
  }

  #onCommandEnd(spare: SpareProcess): void {
    this.#running.delete(spare);
    this.#balance();
  }

  /** Takes no more commands, and ends the spares that have none. */
  #close(reason: string): void {
    if (this.#endedWhy !== undefined) return;
    this.#endedWhy = reason;
    clearTimeout(this.#timer);
    for (const spare of [...this.#idle, ...this.#starting]) spare.kill();
    for (const waiter of this.#waiting.splice(0)) waiter(reason);
    this.#markEnded(reason);
  }
}

/** The state of a pool of spare processes, as far as decisions need it. */
export interface SpareCounts {
  /** Processes that wait for a command. */
  readonly idle: number;
  /** Processes that still import dstack. */
  readonly starting: number;
  /** Commands that wait for a process. */
  readonly waiting: number;
  /** Milliseconds since a command last had to wait; infinite if none had. */
  readonly sinceBurstMs: number;
}

/** Time after a burst during which a second spare is kept. */
export const BURST_MS = 60_000;

/** Returns how many spares wait for commands: one, and two for a while after a command had to wait. */
export const sparesToKeep = ({ sinceBurstMs }: Pick<SpareCounts, 'sinceBurstMs'>): number =>
  sinceBurstMs < BURST_MS ? 2 : 1;

/** Returns how many spares to start now. Waiting commands come first: an import for later would take their processor. */
export function sparesToStart(counts: SpareCounts, maxStarting: number): number {
  const { idle, starting, waiting } = counts;
  const wanted = waiting > 0 ? waiting : sparesToKeep(counts) - idle;
  return Math.max(0, Math.min(wanted, maxStarting) - starting);
}

/** Returns how many idle spares are more than is kept. */
export const sparesToEnd = (counts: SpareCounts): number => Math.max(0, counts.idle - sparesToKeep(counts));
