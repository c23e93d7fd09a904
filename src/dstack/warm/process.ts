import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import path from 'node:path';
import type { Log } from '../../core/log.ts';

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
