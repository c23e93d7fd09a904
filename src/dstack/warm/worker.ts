import { WarmChannel, readySchema } from './channel.ts';
import type { HandOver, WarmRequest, WorkerInfo } from './channel.ts';
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import path from 'node:path';
import type { Log } from '../../core/log.ts';
import { promiseWithResolvers } from '../../core/waiting.ts';

/** A running worker: one process that forks a child for each command, or a pool of spare processes. */
export interface WarmWorker {
  /** The processes that a command may meet: the worker, or the spares. */
  readonly pids: readonly number[];
  readonly info: WorkerInfo;
  /** Resolves with the reason once it can no longer be used. */
  readonly ended: Promise<string>;
  /** Hands a request to a child. Resolves once a child has acknowledged it, or once it is certain that none will run it. */
  handOver(request: WarmRequest, timeoutMs: number): Promise<HandOver>;
  /** Ends it and its reads; a change may finish. Resolves once the process is gone or only a change is left. */
  end(): Promise<void>;
  /** Ends it once all its commands have ended. */
  retire(): Promise<void>;
}

export interface WorkerOptions extends ProcessOptions {
  /** How long it has to become ready. */
  readonly startTimeoutMs: number;
  /** How long it may be silent while it is busy before it is pinged, and how long it has to answer. */
  readonly silenceMs: number;
}

/** The worker can't serve this dstack, and retrying won't help. */
export class WorkerUnsupported extends Error {
  override readonly name = 'WorkerUnsupported';
}

/** The shutdown state of a worker. */
type ShutdownPhase =
  | 'none'
  /** It ends once nothing runs in it. */
  | 'when-idle'
  /** It stopped answering, but a change runs in one of its children. */
  | 'condemned'
  /** It was ended and lets a change finish. */
  | 'lingering';

/** A worker that isn't stuck ends in milliseconds. */
const END_TIMEOUT_MS = 1_000;

/**
 * Starts a worker and resolves when it is ready. Until then, the signal kills it.
 * @throws WorkerUnsupported if it can't serve this dstack; Error if the start failed.
 */
export async function startWarmWorker(options: WorkerOptions, closing: AbortSignal): Promise<WarmWorker> {
  const process = spawnWorker(options);
  const kill = (): void => process.kill();
  closing.addEventListener('abort', kill);
  const ready = promiseWithResolvers<Buffer>();
  const supervised = new SupervisedWorker(process, ready.resolve, options.silenceMs);
  const timer = setTimeout(kill, options.startTimeoutMs);
  const first = await Promise.race([ready.promise, supervised.ended, process.exited]);
  clearTimeout(timer);
  closing.removeEventListener('abort', kill);
  if (typeof first === 'string') throw new Error(first);
  const info = readySchema.safeParse(JSON.parse(first.toString())).data;
  if (info === undefined || 'declined' in info) {
    process.kill();
    throw new WorkerUnsupported(info?.declined ?? 'the worker uses another protocol');
  }
  process.keepAlive(false);
  return {
    pids: [process.pid],
    info,
    ended: supervised.ended,
    handOver: (request, timeoutMs) => supervised.channel.handOver(request, timeoutMs),
    end: () => supervised.end(),
    retire: () => supervised.retire(),
  };
}

/** A process with its channel: settles requests when it dies, pings it when it is silent, and shuts it down. */
class SupervisedWorker {
  readonly channel: WarmChannel;
  readonly #process: WorkerProcess;
  readonly #watch: (on: boolean) => void;
  #shutdown: ShutdownPhase = 'none';
  readonly #ended = promiseWithResolvers<string>();
  readonly ended = this.#ended.promise;

  constructor(process: WorkerProcess, onReady: (payload: Buffer) => void, silenceMs: number) {
    this.#process = process;
    this.channel = new WarmChannel({
      stream: process.control,
      onReady,
      onBusy: (busy) => this.#onBusy(busy),
      onSlow: () => void listen(),
    });
    const { watch, listen } = listenForLife(this.channel, silenceMs, () => this.#onSilence());
    this.#watch = watch;
    // Not at the process's exit: earlier frames may still be unread then.
    process.control.once('close', () => void this.#onClose());
  }

  async end(): Promise<void> {
    this.#shutdown = this.channel.running.changes > 0 ? 'lingering' : 'none';
    this.channel.finish();
    this.#ended.resolve('it was ended');
    if (this.#shutdown === 'lingering') return;
    this.#process.keepAlive(true);
    const kill = setTimeout(() => this.#process.kill(), END_TIMEOUT_MS);
    await this.#process.exited;
    clearTimeout(kill);
  }

  async retire(): Promise<void> {
    this.#ended.resolve('it was retired');
    if (this.channel.running.all === 0) await this.end();
    else this.#shutdown = 'when-idle';
  }

  #onSilence(): void {
    const reason = 'the worker stopped answering';
    // A change in a child of a stopped worker may continue: ending the worker would end it halfway.
    this.channel.abandon(reason, true);
    this.#ended.resolve(reason);
    if (this.channel.running.lasting > 0) this.#shutdown = 'condemned';
    else this.#process.kill();
  }

  #onBusy(busy: boolean): void {
    this.#process.keepAlive(busy);
    this.#watch(busy);
    if (busy) return;
    if (this.#shutdown === 'condemned') this.#process.kill();
    if (this.#shutdown === 'when-idle') void this.end();
  }

  async #onClose(): Promise<void> {
    // Without its channel, the process is useless, whoever closed it.
    const kill =
      this.#shutdown === 'lingering' ? undefined : setTimeout(() => this.#process.kill(), END_TIMEOUT_MS).unref();
    const reason = await this.#process.exited;
    clearTimeout(kill);
    this.channel.abandon(reason, false);
    this.#ended.resolve(reason);
  }
}

/** Pings a silent worker and reports if it doesn't answer. */
function listenForLife(
  channel: WarmChannel,
  silenceMs: number,
  onSilence: () => void,
): { readonly watch: (on: boolean) => void; readonly listen: () => Promise<void> } {
  let timer: NodeJS.Timeout | undefined;
  let seen = 0;
  let listening = false;
  const listen = async (): Promise<void> => {
    if (listening) return;
    listening = true;
    const alive = await channel.ping(silenceMs);
    listening = false;
    if (!alive) onSilence();
  };
  return {
    listen,
    watch(on) {
      clearInterval(timer);
      if (!on) return;
      seen = channel.received;
      timer = setInterval(() => {
        if (seen === channel.received) void listen();
        seen = channel.received;
      }, silenceMs).unref();
    },
  };
}

/** The process of a worker and its control channel. */
export interface WorkerProcess {
  readonly pid: number;
  readonly control: Socket;
  /** Resolves once the process is gone, with how it ended and the last line of its standard error. */
  readonly exited: Promise<string>;
  kill(): void;
  /** Sets whether this process waits for it before exiting. */
  keepAlive(keep: boolean): void;
}

export interface ProcessOptions {
  /** The entry script of dstack. */
  readonly executable: string;
  /** The interpreter named in the script. */
  readonly interpreter: string;
  /** The folder with the Python side. */
  readonly workerFiles: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
}

const MAX_STDERR_CHARS = 2000;

/** Starts the process of a worker. If the start fails, `exited` resolves. */
function spawnWorker({ executable, interpreter, workerFiles, env, log }: ProcessOptions): WorkerProcess {
  const script = path.join(workerFiles, 'warm_worker.py');
  // Pipes on 0, 1 and 2, as for a command: Python chooses its buffering and encodings by them.
  const child = spawn(interpreter, ['-B', script, executable], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  // Without descriptors left, it has no channel either: the error comes after this function has failed.
  child.on('error', () => undefined);
  const control = child.stdio[3];
  if (!(control instanceof Socket)) throw new TypeError('the worker has no control channel');
  let stderr = '';
  child.stdin.on('error', () => undefined);
  child.stdout.resume();
  child.stderr.on('data', (piece: Buffer) => {
    stderr = (stderr + piece.toString()).slice(-MAX_STDERR_CHARS);
    log.debug({ worker: child.pid, stderr: piece.toString().slice(0, MAX_STDERR_CHARS) }, 'output of the warm worker');
  });
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      const last = stderr.trim().split('\n').at(-1) ?? '';
      resolve(`the worker ended with ${signal ?? `exit code ${code}`}${last === '' ? '' : `: ${last}`}`);
    });
  });
  const handles = [child, control, ...[child.stdin, child.stdout, child.stderr].filter(isSocket)];
  return {
    pid: child.pid ?? 0,
    control,
    exited,
    kill: () => child.kill('SIGKILL'),
    keepAlive(keep) {
      for (const handle of handles) {
        if (keep) handle.ref();
        else handle.unref();
      }
    },
  };
}

const isSocket = (stream: unknown): stream is Socket => stream instanceof Socket;
