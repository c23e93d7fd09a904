import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import path from 'node:path';
import { promiseWithResolvers, within } from '../../core/waiting.ts';
import { killGroup, signalGroup } from '../run/processes.ts';
import { readWireEvent, UNREADABLE } from '../run/wire-events.ts';
import { createFrameReader, encodeFrame, encodeRequest, readySchema } from './channel.ts';
import type { ChildEnd, Frame, HandOver, WarmChild, WarmRequest, WorkerInfo } from './channel.ts';
import { WorkerUnsupported } from './worker.ts';
import type { ProcessOptions } from './worker.ts';

/** The result of offering a request to a spare. `died`: nothing ran, and another one can take it. */
export type Offer = HandOver | { readonly kind: 'died'; readonly reason: string };

/** How long a process that a command left behind can delay its end by keeping its pipes open. */
const DRAIN_MS = 500;
const MAX_STDERR_CHARS = 2000;

/** A process of dstack's interpreter that imports dstack, waits, and becomes one command. */
export class SpareProcess {
  /** Resolves once it waits for a request. Rejects if it ends before that. */
  readonly ready: Promise<WorkerInfo>;
  /** Resolves once the process is gone, with how it ended and the last line of its standard error. */
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  readonly #control: Socket;
  readonly #firstFrame = promiseWithResolvers<Frame>();
  readonly #answer = promiseWithResolvers<Frame>();
  readonly #ended = promiseWithResolvers<ChildEnd>();
  #request: WarmRequest | undefined;
  #isGoing = false;
  #isUnreadable = false;
  #stderr = '';

  constructor(options: ProcessOptions) {
    this.#child = start(options);
    const [control, events] = [this.#child.stdio[3], this.#child.stdio[4]];
    if (!(control instanceof Socket) || !(events instanceof Socket))
      throw new TypeError('the spare process has no pipes');
    this.#control = control;
    // A broken pipe means that the process is gone, which its exit reports.
    for (const stream of this.#child.stdio) stream?.on('error', () => undefined);
    events.on(
      'data',
      createFrameReader((frame) => this.#onFrame(frame)),
    );
    this.#child.stdout?.on('data', (piece: Buffer) => this.#request?.onOutput('stdout', piece));
    this.#child.stderr?.on('data', (piece: Buffer) => {
      if (this.#request === undefined) this.#stderr = (this.#stderr + piece.toString()).slice(-MAX_STDERR_CHARS);
      else this.#request.onOutput('stderr', piece);
    });
    this.exited = this.#watchExit();
    this.ready = this.#waitForReady();
    // Whoever starts it may be gone by then.
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Hands it a request. It runs only once `go` is called. */
  async offer(request: WarmRequest, timeoutMs: number): Promise<Offer> {
    this.#request = request;
    this.#control.write(encodeFrame('R', 0, encodeRequest(request)));
    const answer = await within(timeoutMs, Promise.race([this.#answer.promise, this.exited]));
    if (typeof answer === 'string') return { kind: 'died', reason: answer };
    if (answer?.kind === 'a') return { kind: 'held', child: this.#toChild(request) };
    this.kill();
    const reason = answer === undefined ? `it didn't acknowledge it within ${timeoutMs} ms` : answer.payload.toString();
    return { kind: 'refused', reason };
  }

  kill(): void {
    signalGroup(this.pid, 'SIGKILL');
  }

  /** Sets whether this process waits for it before exiting. */
  keepAlive(keep: boolean): void {
    for (const handle of [this.#child, ...this.#child.stdio]) {
      if (handle !== this.#child && !(handle instanceof Socket)) continue;
      if (keep) handle.ref();
      else handle.unref();
    }
  }

  #toChild(request: WarmRequest): WarmChild {
    return {
      pid: this.pid,
      ended: this.#ended.promise,
      go: () => {
        if (this.#isGoing) return;
        this.#isGoing = true;
        this.#control.write(encodeFrame('G', 0));
        this.#child.stdin?.end(request.input ?? '');
      },
      answer: (answer) => void this.#control.write(encodeFrame('V', 0, Buffer.from(JSON.stringify(answer)))),
      signal: (name) => signalGroup(this.pid, name),
    };
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === 'r') this.#firstFrame.resolve(frame);
    else if (frame.kind === 'w') this.#onWireEvent(frame.payload.toString());
    else this.#answer.resolve(frame);
  }

  #onWireEvent(text: string): void {
    const event = this.#isUnreadable ? undefined : readWireEvent(text);
    if (event !== undefined) return this.#request?.onWireEvent(event);
    this.#isUnreadable = true;
    // A change that there is consent for isn't ended halfway.
    if (this.#request?.outlivesServer() !== true) this.kill();
  }

  async #waitForReady(): Promise<WorkerInfo> {
    const first = await Promise.race([this.#firstFrame.promise, this.exited]);
    if (typeof first === 'string') throw new Error(first);
    const info = readySchema.safeParse(JSON.parse(first.payload.toString())).data;
    if (info !== undefined && !('declined' in info)) return info;
    this.kill();
    throw new WorkerUnsupported(info?.declined ?? 'the spare process uses another protocol');
  }

  async #watchExit(): Promise<string> {
    const child = this.#child;
    const closed = once(child, 'close').catch(() => undefined);
    const how = await new Promise<ChildEnd>((resolve) => {
      child.once('error', ({ message }) => resolve({ kind: 'not-run', reason: message }));
      child.once('exit', (code, signal) =>
        resolve(code === null ? { kind: 'signalled', signal: signal ?? 'unknown' } : { kind: 'exited', code }),
      );
    });
    if (this.#request?.outlivesServer() !== true) killGroup(this.pid);
    void this.#settle(how, closed);
    if (how.kind === 'not-run') return how.reason;
    const last = this.#stderr.trim().split('\n').at(-1) ?? '';
    const end = how.kind === 'exited' ? `exit code ${how.code}` : 'signal' in how ? how.signal : how.kind;
    return `the spare process ended with ${end}${last === '' ? '' : `: ${last}`}`;
  }

  /** Waits for the rest of the output, but not for processes that keep it open. */
  async #settle(how: ChildEnd, closed: Promise<unknown>): Promise<void> {
    await within(DRAIN_MS, closed);
    for (const stream of this.#child.stdio) stream?.destroy();
    const end = this.#isUnreadable ? UNREADABLE : how;
    this.#ended.resolve(this.#isGoing ? end : { kind: 'not-run', reason: 'the process ended before it was started' });
  }
}

/** Starts the process as the leader of a new group, as for a command: a signal that the client sends to our group doesn't reach it. */
function start({ executable, interpreter, workerFiles, env }: ProcessOptions): ChildProcess {
  const script = path.join(workerFiles, 'spare_process.py');
  const child = spawn(interpreter, ['-B', script, executable], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  // Without descriptors left, it has no pipes either: the error comes after the constructor has failed.
  child.on('error', () => undefined);
  return child;
}
