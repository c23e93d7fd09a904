import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import * as z from 'zod';
import type { WireEvent } from '../../core/transcript.ts';
import { promiseWithResolvers } from '../../core/waiting.ts';
import type { PromiseWithResolvers } from '../../core/waiting.ts';
import type { HeldAnswer, WireRule } from '../run/runner.ts';
import { readWireEvent, UNREADABLE } from '../run/wire-events.ts';

/** A command, or a question about dstack, for a warm process: a forked child of the worker, or a spare one. */
export interface WarmRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The variables that differ from the worker's own. */
  readonly env: Readonly<Record<string, string>>;
  /** `parked`: in a process that has already built its parsers. `shallow`: they are built in the environment of the request. */
  readonly mode: 'parked' | 'shallow';
  /** Whether it may finish after the server ends, as a change may that there is consent for. */
  readonly outlivesServer: () => boolean;
  /** Whether it may finish after its call has ended. */
  readonly outlivesCall: () => boolean;
  /** Whether it is a change. */
  readonly isChange: boolean;
  /** The child ends itself after this time, whether or not the server still runs. */
  readonly limitMs?: number;
  readonly input?: Uint8Array;
  readonly pinnedFile?: { readonly path: string; readonly bytes: Uint8Array };
  /** A task of `worker/introspect.py` instead of a command. */
  readonly task?: string;
  /** Limits what it may send to dstack's server. */
  readonly wire?: WireRule;
  /** Aborts when nobody waits for it anymore. */
  readonly abandoned: AbortSignal;
  readonly onOutput: (stream: 'stdout' | 'stderr', piece: Buffer) => void;
  readonly onWireEvent: (event: WireEvent) => void;
}

/** The end of a child. `not-run`: it was never started, so nothing was done. `lost`: it isn't known what it did. */
export type ChildEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'not-run'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string };

/** A child that has a complete request and runs it only once `go` is called. */
export interface WarmChild {
  readonly pid: number;
  readonly ended: Promise<ChildEnd>;
  go(): void;
  /** Answers the gate, which waits before the first change. */
  answer(answer: HeldAnswer): void;
  /** Signals its whole process group. */
  signal(name: NodeJS.Signals): void;
}

/** The result of a hand-over. `refused`: nothing ran, and nothing will. */
export type HandOver =
  | { readonly kind: 'held'; readonly child: WarmChild }
  | { readonly kind: 'refused'; readonly reason: string };

const infoSchema = z.object({
  version: z.string(),
  python: z.string(),
  /** Names (or `PREFIX*`) of variables whose values are baked into what was imported. */
  bakedAtImport: z.array(z.string()),
  /** The same for what a parked child built. */
  bakedAtPark: z.array(z.string()),
  /** Fingerprints of the files that change with an upgrade, by path. */
  fingerprints: z.record(z.string(), z.string()),
  importMs: z.number(),
});

/** A worker's description of itself once it is ready. */
export type WorkerInfo = z.output<typeof infoSchema>;

/** A worker's first message: that it is ready, or why it can't serve this dstack. */
export const readySchema = z.union([z.object({ declined: z.string() }), infoSchema]);

const heldSchema = z.object({ pid: z.number() });

const endSchema = z.union([
  z.object({ code: z.number(), going: z.boolean() }),
  z.object({ signal: z.number(), going: z.boolean() }),
]);

/** Frame kinds by letter. The Python side is `worker/control_frames.py`. */
const MEANINGS = {
  // To the worker.
  R: 'a request',
  G: 'the request that was acknowledged may run',
  V: 'which changes may be sent',
  K: "a signal for the request's process group",
  '?': 'are you alive',
  // From the worker.
  r: 'ready',
  a: 'a child has the request and waits for the signal to run it',
  n: 'refused: nothing ran',
  o: 'standard output',
  e: 'standard error',
  x: 'the child ended',
  w: 'an event of the gate on its requests',
  '!': 'alive',
} as const;

type FrameKind = keyof typeof MEANINGS;

const isFrameKind = (letter: string): letter is FrameKind => letter in MEANINGS;

export interface Frame {
  readonly kind: FrameKind;
  readonly request: number;
  readonly payload: Buffer;
}

const HEADER_BYTES = 9;

/** Encodes a frame: length (4 bytes), kind (1 byte), request (4 bytes), payload. */
export function encodeFrame(kind: FrameKind, request: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(payload.length, 0);
  header.write(kind, 4, 'latin1');
  header.writeUInt32BE(request, 5);
  return Buffer.concat([header, payload]);
}

/** Creates a reader of stream chunks that calls back for each complete frame, in order. */
export function createFrameReader(onFrame: (frame: Frame) => void): (piece: Buffer) => void {
  let pieces: Buffer[] = [];
  let bytes = 0;
  // Chunks are joined only once a frame is complete: joining each one would copy a long frame repeatedly.
  let wanted = HEADER_BYTES;
  return (piece) => {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes < wanted) return;
    let pending = pieces.length === 1 ? piece : Buffer.concat(pieces, bytes);
    for (;;) {
      wanted = pending.length < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + pending.readUInt32BE(0);
      if (pending.length < wanted) break;
      const kind = pending.toString('latin1', 4, 5);
      const request = pending.readUInt32BE(5);
      const payload = pending.subarray(HEADER_BYTES, wanted);
      pending = pending.subarray(wanted);
      if (isFrameKind(kind)) onFrame({ kind, request, payload });
    }
    pieces = pending.length === 0 ? [] : [pending];
    bytes = pending.length;
  };
}

/**
 * Encodes the payload of a request: the length of its description, the description (JSON), then input and pinned content. A process whose
 * standard input is connected to this one gets no input this way.
 */
export function encodeRequest(request: WarmRequest, input: Uint8Array = new Uint8Array()): Buffer {
  const { argv, cwd, env, mode, isChange, task, pinnedFile, wire, limitMs } = request;
  const description = {
    argv,
    cwd,
    env,
    mode,
    outlivesServer: isChange,
    task,
    wire,
    limitSeconds: limitMs === undefined ? undefined : limitMs / 1000,
    inputLength: input.length,
    pinned: pinnedFile?.path,
  };
  const text = Buffer.from(JSON.stringify(description));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, input, pinnedFile?.bytes ?? new Uint8Array()]);
}

interface Entry {
  readonly request: WarmRequest;
  phase: 'handed' | 'held' | 'going';
  /** Whether an event of its gate couldn't be read. Later ones are ignored. */
  isUnreadable: boolean;
  readonly held: PromiseWithResolvers<HandOver>;
  readonly ended: PromiseWithResolvers<ChildEnd>;
}

interface ChannelOptions {
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
    const [held, ended] = [promiseWithResolvers<HandOver>(), promiseWithResolvers<ChildEnd>()];
    const entry: Entry = { request, phase: 'handed', isUnreadable: false, held, ended };
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
    else if (kind === 'w') this.#onWireEvent(id, entry, payload);
    else if (kind === 'n') this.#settle(id, entry, { kind: 'not-run', reason: payload.toString() });
    else if (kind === 'x') this.#settle(id, entry, entry.isUnreadable ? UNREADABLE : readEnd(payload));
    else if (kind === 'a' && entry.phase === 'handed') {
      entry.phase = 'held';
      entry.held.resolve({ kind: 'held', child: this.#toChild(id, entry, payload) });
    }
  }

  #onWireEvent(id: number, entry: Entry, payload: Buffer): void {
    const event = entry.isUnreadable ? undefined : readWireEvent(payload.toString());
    if (event !== undefined) return entry.request.onWireEvent(event);
    entry.isUnreadable = true;
    // A change that there is consent for isn't ended halfway.
    if (!entry.request.outlivesServer()) this.#signal(id, 'SIGKILL');
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
