import path from 'node:path';
import type { Interruption } from '../run/interruption.ts';
import { createBoundedOutput } from '../run/bounded-output.ts';
import type { ChildEnd, HandOver, WarmChild, WarmRequest } from './protocol.ts';
import type { WarmWorker } from './worker.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { RunOptions } from '../run/runner.ts';

/** What came of trying a command in the worker. */
export type Attempt =
  | {
      readonly kind: 'ran';
      readonly end: ChildEnd | { readonly kind: 'interrupted'; readonly stillRunning: boolean };
      readonly printed: Printed;
    }
  /** Nothing ran and nothing will: a plain process can do it. */
  | { readonly kind: 'stepped-aside'; readonly why: string }
  /** Its time was over, or it was cancelled, before anything ran. */
  | { readonly kind: 'interrupted' };

type Printed = Pick<Transcript, 'stdout' | 'stderr' | 'omittedBytes'>;

export interface WarmCall {
  readonly argv: readonly string[];
  readonly options: Pick<RunOptions, 'cwd' | 'onBegin' | 'pinnedFile' | 'sink'>;
  readonly input?: Uint8Array;
  readonly task?: string;
  readonly interruption: Interruption;
  /** It may go on when nobody waits for it any more. */
  readonly mayGoOn: boolean;
  /** Called when a child holds the request, right before it may run. It throws to stop that. */
  readonly beforeGo: () => void;
}

export interface Handling {
  readonly worker: WarmWorker;
  readonly mode: WarmRequest['mode'];
  readonly env: Readonly<Record<string, string>>;
  readonly handOverMs: number;
  readonly graceMs: number;
  readonly keepBytes: number;
}

/** Runs one command in a child of the worker: hands it over, lets it go, and waits for its end or for the interruption. */
export async function runWarmCall(call: WarmCall, handling: Handling): Promise<Attempt> {
  call.options.onBegin?.('warm');
  const kept = { stdout: createBoundedOutput(handling.keepBytes), stderr: createBoundedOutput(handling.keepBytes) };
  const request = toRequest(call, handling, (stream, piece) => {
    kept[stream].add(piece);
    if (stream === 'stdout') call.options.sink?.write(piece);
  });
  const handOver = handling.worker.handOver(request, handling.handOverMs);
  const taken = await Promise.race([handOver, call.interruption.happened]);
  if (typeof taken === 'string') {
    void handOver.then(giveBack);
    return { kind: 'interrupted' };
  }
  if (taken.kind === 'refused') return { kind: 'stepped-aside', why: taken.reason };
  const { child } = taken;
  try {
    call.beforeGo();
  } catch (error) {
    giveBack(taken);
    throw error;
  }
  child.go();
  const end = await waitForEnd(child, call, handling.graceMs);
  return { kind: 'ran', end, printed: toPrinted(kept.stdout.finish(), kept.stderr.finish()) };
}

function toRequest(call: WarmCall, { mode, env }: Handling, onOutput: WarmRequest['onOutput']): WarmRequest {
  const cwd = path.resolve(call.options.cwd ?? '.');
  const { pinnedFile } = call.options;
  return {
    argv: call.argv,
    cwd,
    env,
    mode,
    outlivesServer: call.mayGoOn,
    onOutput,
    ...(call.input === undefined ? {} : { input: call.input }),
    ...(call.task === undefined ? {} : { task: call.task }),
    ...(pinnedFile === undefined
      ? {}
      : { pinnedFile: { path: path.resolve(cwd, pinnedFile.path), bytes: pinnedFile.bytes } }),
  };
}

function giveBack(handOver: HandOver): void {
  if (handOver.kind === 'held') handOver.child.signal('SIGKILL');
}

async function waitForEnd(
  child: WarmChild,
  { interruption, mayGoOn }: WarmCall,
  graceMs: number,
): Promise<ChildEnd | { kind: 'interrupted'; stillRunning: boolean }> {
  const end = await Promise.race([child.ended, interruption.happened]);
  if (typeof end !== 'string') return end;
  if (mayGoOn) return { kind: 'interrupted', stillRunning: true };
  child.signal('SIGTERM');
  const kill = setTimeout(() => child.signal('SIGKILL'), graceMs);
  const last = await child.ended;
  clearTimeout(kill);
  return last.kind === 'lost' ? last : { kind: 'interrupted', stillRunning: false };
}

interface Kept {
  readonly text: string;
  readonly omittedBytes: number;
}

const toPrinted = (stdout: Kept, stderr: Kept): Printed => ({
  stdout: stdout.text,
  stderr: stderr.text,
  omittedBytes: stdout.omittedBytes + stderr.omittedBytes,
});
