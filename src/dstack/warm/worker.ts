import { createWarmChannel } from './channel.ts';
import type { WarmChannel } from './channel.ts';
import { readySchema } from './protocol.ts';
import type { HandOver, WarmRequest, WorkerInfo } from './protocol.ts';
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import path from 'node:path';
import type { Log } from '../../core/log.ts';

/** A living worker. */
export interface WarmWorker {
  readonly pid: number;
  readonly info: WorkerInfo;
  /** Resolves with the reason when it can't be used any more, however that came. */
  readonly ended: Promise<string>;
  /** Gives a request to a child. Settles when one acknowledged it, or when it is sure that none will run it. */
  handOver(request: WarmRequest, timeoutMs: number): Promise<HandOver>;
  /** Ends it and the reads that it runs; a change may finish. Resolves when the process is gone, or only a change is left. */
  end(): Promise<void>;
  /** Ends it once all that it runs has ended. */
  retire(): Promise<void>;
}

export interface WorkerOptions extends ProcessOptions {
  /** It has to be ready after this many milliseconds. */
  readonly startTimeoutMs: number;
  /** How long it may be silent while it runs something before it is asked for a sign of life, and may take to give it. */
  readonly silenceMs: number;
}

/** The worker can't serve this dstack, and trying again won't help. */
export class WorkerUnsupported extends Error {
  override readonly name = 'WorkerDeclined';
}

/** A worker on its way out, and why it isn't killed at once. */
type ShutdownPhase =
  | 'none'
  /** Ended once nothing runs in it any more. */
  | 'when-idle'
  /** It stopped answering, and a change runs in a child of it. */
  | 'condemned'
  /** It was told to end and lets a change finish. */
  | 'lingering';

const END_TIMEOUT_MS = 4000;

/**
 * Starts a worker and resolves when it is ready.
 * @throws WorkerDeclined where this dstack can't be served warm; Error where the start failed.
 */
export async function startWarmWorker(options: WorkerOptions): Promise<WarmWorker> {
  const process = spawnWorker(options);
  let onReady: (payload: Buffer) => void = () => undefined;
  const ready = new Promise<Buffer>((resolve) => {
    onReady = resolve;
  });
  const { worker, ended } = superviseWorker(process, onReady, options.silenceMs);
  const timer = setTimeout(() => process.kill(), options.startTimeoutMs);
  const first = await Promise.race([ready, ended, process.exited]);
  clearTimeout(timer);
  if (typeof first === 'string') throw new Error(first);
  const info = readySchema.safeParse(JSON.parse(first.toString())).data;
  if (info === undefined || 'declined' in info) {
    process.kill();
    throw new WorkerUnsupported(info?.declined ?? 'the worker speaks another language');
  }
  process.hold(false);
  return { ...worker, info };
}

/** Ties the process and its channel together: its death tells the requests, its silence is looked into, its end is brought about. */
function superviseWorker(
  process: WorkerProcess,
  onReady: (payload: Buffer) => void,
  silenceMs: number,
): { worker: Omit<WarmWorker, 'info'>; ended: Promise<string> } {
  let farewell: ShutdownPhase = 'none';
  let markEnded: (reason: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => {
    markEnded = resolve;
  });

  const end = async (): Promise<void> => {
    farewell = channel.running.changes > 0 ? 'lingering' : 'none';
    channel.finish();
    markEnded('it was ended');
    if (farewell === 'lingering') return;
    process.hold(true);
    const kill = setTimeout(() => process.kill(), END_TIMEOUT_MS);
    await process.exited;
    clearTimeout(kill);
  };
  const onSilence = (): void => {
    const reason = 'the worker stopped answering';
    // A change in a child of a stopped worker may go on: ending the worker would end it half-way.
    channel.abandon(reason, true);
    markEnded(reason);
    if (channel.running.changes > 0) farewell = 'condemned';
    else process.kill();
  };
  const onBusy = (busy: boolean): void => {
    process.hold(busy);
    watch(busy);
    if (busy) return;
    if (farewell === 'condemned') process.kill();
    if (farewell === 'when-idle') void end();
  };
  const onClose = async (): Promise<void> => {
    // Without its channel the process is of no use, whoever closed it.
    const kill = farewell === 'lingering' ? undefined : setTimeout(() => process.kill(), END_TIMEOUT_MS).unref();
    const reason = await process.exited;
    clearTimeout(kill);
    channel.abandon(reason, false);
    markEnded(reason);
  };

  const channel = createWarmChannel({ stream: process.control, onReady, onBusy, onSlow: () => void listen() });
  const { watch, listen } = listenForLife(channel, silenceMs, onSilence);
  // Not at the process's exit: frames that it sent before may still be unread then.
  process.control.once('close', () => void onClose());
  const worker = {
    pid: process.pid,
    ended,
    handOver: (request: WarmRequest, timeoutMs: number) => channel.handOver(request, timeoutMs),
    end,
    async retire(): Promise<void> {
      markEnded('it was retired');
      if (channel.running.all === 0) await end();
      else farewell = 'when-idle';
    },
  };
  return { worker, ended };
}

/** Asks a worker that has been silent for a sign of life, and tells when it gives none. */
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
  /** Resolves when the process is gone, with how it ended and its last complaint. */
  readonly exited: Promise<string>;
  kill(): void;
  /** Whether this process waits for it before it ends. */
  hold(held: boolean): void;
}

export interface ProcessOptions {
  /** The entry script of dstack. */
  readonly executable: string;
  /** The interpreter that the script names. */
  readonly interpreter: string;
  /** The folder with the Python side. */
  readonly workerFiles: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
}

const KEPT_COMPLAINTS = 2000;

/** Starts the process of a worker. A start that fails shows as its end. */
export function spawnWorker({ executable, interpreter, workerFiles, env, log }: ProcessOptions): WorkerProcess {
  const script = path.join(workerFiles, 'warm_worker.py');
  // Pipes on 0, 1 and 2, as a command has: Python chooses its buffers and encodings by them.
  const child = spawn(interpreter, ['-B', script, executable], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  const control = child.stdio[3];
  if (!(control instanceof Socket)) throw new TypeError('the worker has no control channel');
  let complaints = '';
  child.stdin.on('error', () => undefined);
  child.stdout.resume();
  child.stderr.on('data', (piece: Buffer) => {
    complaints = (complaints + piece.toString()).slice(-KEPT_COMPLAINTS);
    log.debug({ worker: child.pid, stderr: piece.toString().slice(0, KEPT_COMPLAINTS) }, 'the warm worker wrote');
  });
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      const last = complaints.trim().split('\n').at(-1) ?? '';
      resolve(`the worker ended with ${signal ?? `exit code ${code}`}${last === '' ? '' : `: ${last}`}`);
    });
  });
  const handles = [child, control, ...[child.stdin, child.stdout, child.stderr].filter(isSocket)];
  return {
    pid: child.pid ?? 0,
    control,
    exited,
    kill: () => child.kill('SIGKILL'),
    hold(held) {
      for (const handle of handles) {
        if (held) handle.ref();
        else handle.unref();
      }
    },
  };
}

const isSocket = (stream: unknown): stream is Socket => stream instanceof Socket;
