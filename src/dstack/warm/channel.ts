import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { createFrameReader, encodeFrame, encodeRequest, endSchema, heldSchema } from './protocol.ts';
import type { Frame, FrameKind, ChildEnd, HandOver, WarmChild, WarmRequest } from './protocol.ts';

/** The connection to one worker: requests and their results. */
export interface WarmChannel {
  /** Hands a request to a child. Resolves once a child has acknowledged it, or once it is certain that none will run it. */
  handOver(request: WarmRequest, timeoutMs: number): Promise<HandOver>;
  /** Resolves with whether the worker answers in time. */
  ping(timeoutMs: number): Promise<boolean>;
  /** Number of unfinished requests; `changes` counts those that change something and were started. */
  readonly running: { readonly all: number; readonly changes: number };
  /** Number of frames received so far: a worker that sends is alive. */
  readonly received: number;
  /** Settles all requests if the worker is gone; with `keepChanges`, all but running changes, if it no longer answers. */
  abandon(reason: string, keepChanges: boolean): void;
  /** Closes the connection. No request can be made afterwards. */
  finish(): void;
}

interface Entry {
  readonly request: WarmRequest;
  phase: 'handed' | 'held' | 'going';
  readonly held: PromiseWithResolvers<HandOver>;
  readonly ended: PromiseWithResolvers<ChildEnd>;
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

export interface ChannelOptions {
  readonly stream: Duplex;
  readonly onReady: (payload: Buffer) => void;
  /** Called when the first request starts and when the last one ends. */
  readonly onBusy: (busy: boolean) => void;
  /** Called when no child acknowledges a request in time. */
  readonly onSlow: () => void;
}

/** Connects to a worker over its control stream. */
export function createWarmChannel({ stream, onReady, onBusy, onSlow }: ChannelOptions): WarmChannel {
  const entries = new Map<number, Entry>();
  const pings = new Map<number, () => void>();
  let last = 0;
  let received = 0;
  let open = true;

  const send = (kind: FrameKind, request: number, payload?: Uint8Array): void => {
    if (open) stream.write(encodeFrame(kind, request, payload));
  };
  const forget = (id: number): void => {
    if (entries.delete(id) && entries.size === 0) onBusy(false);
  };
  const settle = (id: number, entry: Entry, end: ChildEnd): void => {
    forget(id);
    // Not held yet, so nothing ran.
    entry.held.resolve({ kind: 'refused', reason: 'reason' in end ? end.reason : 'the child ended' });
    entry.ended.resolve(end);
  };

  const onFrame = ({ kind, request: id, payload }: Frame): void => {
    received += 1;
    if (kind === 'r') return onReady(payload);
    if (kind === '!') return pings.get(id)?.();
    const entry = entries.get(id);
    if (entry === undefined) return;
    if (kind === 'o') entry.request.onOutput('stdout', Buffer.from(payload));
    else if (kind === 'e') entry.request.onOutput('stderr', Buffer.from(payload));
    else if (kind === 'w') entry.request.onWireEvent(JSON.parse(payload.toString()));
    else if (kind === 'n') settle(id, entry, { kind: 'not-run', reason: payload.toString() });
    else if (kind === 'x') settle(id, entry, readEnd(payload));
    else if (kind === 'a' && entry.phase === 'handed') {
      entry.phase = 'held';
      entry.held.resolve({ kind: 'held', child: asChild(id, entry, payload) });
    }
  };
  const asChild = (id: number, entry: Entry, payload: Buffer): WarmChild => ({
    pid: heldSchema.parse(JSON.parse(payload.toString())).pid,
    ended: entry.ended.promise,
    go() {
      // Abandoned by then: a worker that wakes up later must not run it.
      if (entry.phase !== 'held' || !entries.has(id)) return;
      entry.phase = 'going';
      send('G', id);
    },
    signal: (name) => send('K', id, Buffer.from(String(constants.signals[name]))),
  });

  stream.on('data', createFrameReader(onFrame));
  // A broken pipe means that the worker is gone, which `abandon` handles.
  stream.on('error', () => undefined);

  return {
    async handOver(request, timeoutMs) {
      const id = (last += 1);
      const entry: Entry = { request, phase: 'handed', held: withResolvers(), ended: withResolvers() };
      if (!open) return { kind: 'refused', reason: 'the worker is ending' };
      entries.set(id, entry);
      if (entries.size === 1) onBusy(true);
      send('R', id, encode(request));
      const timer = setTimeout(() => {
        // A child may still take it, but is never told to start.
        send('K', id, Buffer.from(String(constants.signals.SIGKILL)));
        settle(id, entry, { kind: 'not-run', reason: `no child acknowledged it within ${timeoutMs} ms` });
        onSlow();
      }, timeoutMs);
      try {
        return await entry.held.promise;
      } finally {
        clearTimeout(timer);
      }
    },
    async ping(timeoutMs) {
      const id = (last += 1);
      const { promise, resolve } = withResolvers<boolean>();
      const timer = setTimeout(() => resolve(false), timeoutMs);
      pings.set(id, () => resolve(true));
      send('?', id);
      const alive = await promise;
      clearTimeout(timer);
      pings.delete(id);
      return alive;
    },
    get running() {
      const all = [...entries.values()];
      return { all: all.length, changes: all.filter(isRunningChange).length };
    },
    get received() {
      return received;
    },
    abandon(reason, keepChanges) {
      for (const [id, entry] of entries) {
        if (keepChanges && isRunningChange(entry)) continue;
        settle(id, entry, { kind: entry.phase === 'going' ? 'lost' : 'not-run', reason });
      }
      if (!keepChanges) open = false;
    },
    finish() {
      open = false;
      stream.end();
    },
  };
}

const isRunningChange = (entry: Entry): boolean => entry.phase === 'going' && entry.request.outlivesServer;

function encode(request: WarmRequest): Buffer {
  const { argv, cwd, env, mode, outlivesServer, task, input, pinnedFile, wire } = request;
  const description = {
    argv,
    cwd,
    env,
    mode,
    outlivesServer,
    task,
    wire,
    inputLength: input?.length ?? 0,
    pinned: pinnedFile?.path,
  };
  return encodeRequest(description, input ?? new Uint8Array(), pinnedFile?.bytes ?? new Uint8Array());
}

function readEnd(payload: Buffer): ChildEnd {
  const end = endSchema.parse(JSON.parse(payload.toString()));
  if (!end.going) return { kind: 'not-run', reason: 'the child ended before it was started' };
  return 'code' in end ? { kind: 'exited', code: end.code } : { kind: 'signalled', signal: signalName(end.signal) };
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `signal ${number}`;
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
