import path from 'node:path';
import type { WireEvent } from '../../core/transcript.ts';
import { createBoundedOutput, toPrinted } from '../run/collect-output.ts';
import type { CommandOutput } from '../run/collect-output.ts';
import type { CallLimit } from '../run/command-call.ts';
import type { HeldChange, HeldAnswer, RunOptions } from '../run/runner.ts';
import { addWireEvent } from '../run/wire-events.ts';
import type { ChildEnd, HandOver, WarmChild, WarmRequest } from './channel.ts';
import type { WarmWorker } from './worker.ts';

/** The result of trying a command in the worker. */
export type Attempt =
  | {
      readonly kind: 'ran';
      readonly end: ChildEnd | { readonly kind: 'interrupted'; readonly stillRunning: boolean };
      readonly printed: CommandOutput;
      readonly requests: readonly WireEvent[];
    }
  /** Nothing ran and nothing will: use a plain process. */
  | { readonly kind: 'fallback'; readonly why: string }
  /** It timed out or was canceled before anything ran. */
  | { readonly kind: 'interrupted' };

export interface WarmCall {
  readonly argv: readonly string[];
  readonly options: Pick<RunOptions, 'cwd' | 'onBegin' | 'pinnedFile' | 'sink' | 'wire'>;
  readonly input?: Uint8Array;
  readonly task?: string;
  readonly limit: CallLimit;
  /** For a command that changes something. */
  readonly change?: WarmChange;
}

/** A change, which may continue past its limit and past the end of this server once there is consent. */
interface WarmChange {
  readonly consent: HeldChange;
  /** Its process ends itself after this time. */
  readonly limitMs: number;
  /** Whether it continues past its limit. */
  readonly outlivesCall: boolean;
  /** Answers the gate, which waits before the first change. */
  answer(soFar: { readonly printed: CommandOutput; readonly requests: readonly WireEvent[] }): Promise<HeldAnswer>;
}

export interface WarmCallOptions {
  readonly worker: WarmWorker;
  readonly mode: WarmRequest['mode'];
  readonly env: Readonly<Record<string, string>>;
  readonly handOverMs: number;
  readonly graceMs: number;
  readonly keepBytes: number;
}

/** Runs one command in a child of the worker: hands it over, starts it, and waits for its end or its limit. */
export async function runWarmCall(call: WarmCall, options: WarmCallOptions): Promise<Attempt> {
  call.options.onBegin?.('warm');
  const kept = { stdout: createBoundedOutput(options.keepBytes), stderr: createBoundedOutput(options.keepBytes) };
  const printed = (): CommandOutput => toPrinted(kept.stdout.finish(), kept.stderr.finish());
  const requests: WireEvent[] = [];
  let running: WarmChild | undefined;
  const request = toRequest(call, options, {
    onOutput: (stream, piece) => {
      kept[stream].add(piece);
      if (stream === 'stdout') call.options.sink?.write(piece);
    },
    onWireEvent: (event) => {
      addWireEvent(requests, event);
      if (event.event === 'held')
        void call.change
          ?.answer({ printed: printed(), requests: [...requests] })
          .then((answer) => running?.answer(answer));
    },
  });
  const handOver = options.worker.handOver(request, options.handOverMs);
  const taken = await call.limit.race(handOver);
  if (typeof taken === 'string') {
    void handOver.then(killHolder);
    return { kind: 'interrupted' };
  }
  if (taken.kind === 'refused') return { kind: 'fallback', why: taken.reason };
  const { child } = taken;
  running = child;
  try {
    call.change?.consent.begin();
  } catch (error) {
    killHolder(taken);
    throw error;
  }
  child.go();
  const end = await waitForEnd(child, call, options.graceMs);
  return { kind: 'ran', end, printed: printed(), requests };
}

function toRequest(
  call: WarmCall,
  { mode, env }: WarmCallOptions,
  listeners: Pick<WarmRequest, 'onOutput' | 'onWireEvent'>,
): WarmRequest {
  const cwd = path.resolve(call.options.cwd ?? '.');
  const { pinnedFile, wire } = call.options;
  return {
    argv: call.argv,
    cwd,
    env,
    mode,
    isChange: call.change !== undefined,
    outlivesServer: () => isAllowed(call),
    outlivesCall: () => outlivesCall(call),
    ...(call.change === undefined ? {} : { limitMs: call.change.limitMs }),
    abandoned: call.limit.signal,
    ...listeners,
    ...(wire === undefined ? {} : { wire }),
    ...(call.input === undefined ? {} : { input: call.input }),
    ...(call.task === undefined ? {} : { task: call.task }),
    ...(pinnedFile === undefined
      ? {}
      : { pinnedFile: { path: path.resolve(cwd, pinnedFile.path), bytes: pinnedFile.bytes } }),
  };
}

/** Kills the child that has a request, before it may run. */
function killHolder(handOver: HandOver): void {
  if (handOver.kind === 'held') handOver.child.signal('SIGKILL');
}

const isAllowed = ({ change }: WarmCall): boolean => change?.consent.isAllowed === true;

const outlivesCall = (call: WarmCall): boolean => isAllowed(call) && call.change?.outlivesCall === true;

async function waitForEnd(
  child: WarmChild,
  call: WarmCall,
  graceMs: number,
): Promise<ChildEnd | { kind: 'interrupted'; stillRunning: boolean }> {
  const end = await call.limit.race(child.ended);
  if (typeof end !== 'string') return end;
  // Nobody answers it anymore.
  void call.change?.consent.end();
  const isClosing = end === 'closing';
  if (outlivesCall(call) || (isClosing && isAllowed(call))) return { kind: 'interrupted', stillRunning: true };
  child.signal(isClosing ? 'SIGKILL' : 'SIGTERM');
  // The end of the worker ends the rest.
  if (isClosing) return { kind: 'interrupted', stillRunning: false };
  const kill = setTimeout(() => child.signal('SIGKILL'), graceMs);
  const last = await child.ended;
  clearTimeout(kill);
  return last.kind === 'lost' ? last : { kind: 'interrupted', stillRunning: false };
}
