import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { promiseWithResolvers } from '../../core/waiting.ts';
import type { PromiseWithResolvers } from '../../core/waiting.ts';
import { createFrameReader, encodeFrame, encodeRequest, endSchema, heldSchema } from './protocol.ts';
import type { ChildEnd, Frame, FrameKind, HandOver, WarmChild, WarmRequest } from './protocol.ts';

interface Entry {
  readonly request: WarmRequest;
  phase: 'handed' | 'held' | 'going';
  readonly held: PromiseWithResolvers<HandOver>;
  readonly ended: PromiseWithResolvers<ChildEnd>;
}

export interface ChannelOptions {
  readonly stream: Duplex;
  readonly onReady: (payload: Buffer) => void;
  /** Called when the first request starts and when the last one ends. */
  readonly onBusy: (busy: boolean) => void;
  /** Called when no child acknowledges a request in time. */
  readonly onSlow: () => void;
}

/** The connection to one worker over its control stream: requests and their results. */
export class WarmChannel {
  readonly #options: ChannelOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #pings = new Map<number, () => void>();
  #lastId = 0;
  #received = 0;
  #isOpen = true;

  constructor(options: ChannelOptions) {
    this.#options = options;
    const { stream } = options;
    stream.on(
      'data',
      createFrameReader((frame) => this.#onFrame(frame)),
    );
    // A broken pipe means that the worker is gone, which `abandon` handles.
    stream.on('error', () => undefined);
  }

  /** Number of unfinished requests; of those that were started, `changes` may outlive the server, and `lasting` their calls. */
  get running(): { readonly all: number; readonly changes: number; readonly lasting: number } {
    const all = [...this.#entries.values()];
    const changes = all.filter(({ phase, request }) => phase === 'going' && request.outlivesServer()).length;
    return { all: all.length, changes, lasting: all.filter(isLasting).length };
  }

  /** Number of frames received so far: a worker that sends is alive. */
  get received(): number {
    return this.#received;
  }

  /** Hands a request to a child. Resolves once a child has acknowledged it, or once it is certain that none will run it. */
  async handOver(request: WarmRequest, timeoutMs: number): Promise<HandOver> {
    const id = (this.#lastId += 1);
    const entry: Entry = { request, phase: 'handed', held: promiseWithResolvers(), ended: promiseWithResolvers() };
    if (!this.#isOpen) return { kind: 'refused', reason: 'the worker is ending' };
    this.#entries.set(id, entry);
    if (this.#entries.size === 1) this.#options.onBusy(true);
    this.#send('R', id, encodeRequest(request, request.input));
    const timer = setTimeout(() => {
      // A child may still take it, but never gets `go`.
      this.#signal(id, 'SIGKILL');
      this.#settle(id, entry, { kind: 'not-run', reason: `no child acknowledged it within ${timeoutMs} ms` });
      this.#options.onSlow();
    }, timeoutMs);
    try {
      return await entry.held.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves with whether the worker answers in time. */
  async ping(timeoutMs: number): Promise<boolean> {
    const id = (this.#lastId += 1);
    const { promise, resolve } = promiseWithResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    this.#pings.set(id, () => resolve(true));
    this.#send('?', id);
    const alive = await promise;
    clearTimeout(timer);
    this.#pings.delete(id);
    return alive;
  }

  /** Settles all requests if the worker is gone; with `keepLasting`, all but those that outlive their calls, if it no longer answers. */
  abandon(reason: string, keepLasting: boolean): void {
    for (const [id, entry] of this.#entries) {
      if (keepLasting && isLasting(entry)) continue;
      this.#settle(id, entry, { kind: entry.phase === 'going' ? 'lost' : 'not-run', reason });
    }
    if (!keepLasting) this.#isOpen = false;
  }

  /** Closes the connection. No request can be made afterwards. */
  finish(): void {
    this.#isOpen = false;
    this.#options.stream.end();
  }

  #send(kind: FrameKind, request: number, payload?: Uint8Array): void {
    if (this.#isOpen) this.#options.stream.write(encodeFrame(kind, request, payload));
  }

  #signal(request: number, name: NodeJS.Signals): void {
    this.#send('K', request, Buffer.from(String(constants.signals[name])));
  }

  #settle(id: number, entry: Entry, end: ChildEnd): void {
    if (this.#entries.delete(id) && this.#entries.size === 0) this.#options.onBusy(false);
    // Not held yet, so nothing ran.
    entry.held.resolve({ kind: 'refused', reason: 'reason' in end ? end.reason : 'the child ended' });
    entry.ended.resolve(end);
  }

  #onFrame({ kind, request: id, payload }: Frame): void {
    this.#received += 1;
    if (kind === 'r') return this.#options.onReady(payload);
    if (kind === '!') return this.#pings.get(id)?.();
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    if (kind === 'o') entry.request.onOutput('stdout', Buffer.from(payload));
    else if (kind === 'e') entry.request.onOutput('stderr', Buffer.from(payload));
    else if (kind === 'w') entry.request.onWireEvent(JSON.parse(payload.toString()));
    else if (kind === 'n') this.#settle(id, entry, { kind: 'not-run', reason: payload.toString() });
    else if (kind === 'x') this.#settle(id, entry, readEnd(payload));
    else if (kind === 'a' && entry.phase === 'handed') {
      entry.phase = 'held';
      entry.held.resolve({ kind: 'held', child: this.#toChild(id, entry, payload) });
    }
  }

  #toChild(id: number, entry: Entry, payload: Buffer): WarmChild {
    return {
      pid: heldSchema.parse(JSON.parse(payload.toString())).pid,
      ended: entry.ended.promise,
      go: () => {
        // Abandoned by then: a worker that wakes up later must not run it.
        if (entry.phase !== 'held' || !this.#entries.has(id)) return;
        entry.phase = 'going';
        this.#send('G', id);
      },
      answer: (answer) => this.#send('V', id, Buffer.from(JSON.stringify(answer))),
      signal: (name) => this.#signal(id, name),
    };
  }
}

const isLasting = (entry: Entry): boolean => entry.phase === 'going' && entry.request.outlivesCall();

function readEnd(payload: Buffer): ChildEnd {
  const end = endSchema.parse(JSON.parse(payload.toString()));
  if (!end.going) return { kind: 'not-run', reason: 'the child ended before it was started' };
  return 'code' in end ? { kind: 'exited', code: end.code } : { kind: 'signalled', signal: signalName(end.signal) };
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `signal ${number}`;
}
