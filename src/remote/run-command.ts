import { finished } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { onAbort, promiseWithResolvers, within } from '../core/waiting.ts';
import { createBoundedOutput } from '../dstack/run/collect-output.ts';
import { callProgram, readPids } from './remote-shell.ts';
import type { RemoteEnd, RemoteLeader, RemoteProcess, RemoteShell } from './remote-shell.ts';
import { END_SESSION, RUN_COMMAND } from './programs.ts';

/** A command for the shell of a run, as a model wrote it. */
export interface CommandInput {
  readonly command: string;
  readonly stdin?: string | undefined;
  /** Relative to the working directory of the run. */
  readonly cwd?: string | undefined;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  /** Aborts when nobody waits for the result anymore: the command is ended. */
  readonly signal: AbortSignal;
}

/** One stream of a command, of which the middle may be missing. */
export interface Stream {
  readonly text: string;
  readonly bytes: number;
  readonly omittedBytes: number;
  readonly isBinary: boolean;
}

export type CommandEnd =
  | RemoteEnd
  /** `left` are processes that couldn't be ended; undefined if it isn't known whether any is left. */
  | { readonly kind: 'timed-out' | 'cancelled'; readonly left: readonly number[] | undefined };

export interface CommandResult {
  readonly end: CommandEnd;
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly durationMs: number;
  /** A process that it left still holds its output. */
  readonly hasLeftovers: boolean;
}

const KEEP_BYTES = 64 * 1024;
/** Time for the last output. Later output is of a process that the command left. */
const DRAIN_MS = 500;
/** A process that the command left may print forever. */
const MAX_DRAIN_MS = 3_000;
/** The longest that ending a command takes: it has two seconds after SIGTERM before SIGKILL. */
export const END_MS = 8_000;

/** Runs a command in a job and waits for its end; ends it when its time is over or nobody waits anymore. */
export async function runCommand(
  shell: RemoteShell,
  { command, stdin = '', cwd = '' }: CommandInput,
  { timeoutMs, signal }: CommandOptions,
): Promise<CommandResult> {
  const startedAt = performance.now();
  const size = Buffer.byteLength(stdin);
  const connection = new AbortController();
  const process = shell.start(
    { script: RUN_COMMAND, data: [command, cwd, String(size)] },
    { signal: connection.signal },
  );
  const [stdout, stderr] = [collect(process.stdout), collect(process.stderr)];
  // Stays open: its end ends the command.
  process.stdin.write(stdin);
  try {
    const end = await waitForEnd(shell, process, { timeoutMs, signal });
    const durationMs = performance.now() - startedAt;
    const hasEnded = await drain([stdout, stderr]);
    return { end, stdout: stdout.read(), stderr: stderr.read(), durationMs, hasLeftovers: !hasEnded };
  } finally {
    connection.abort();
  }
}

async function waitForEnd(
  shell: RemoteShell,
  process: RemoteProcess,
  { timeoutMs, signal }: CommandOptions,
): Promise<CommandEnd> {
  const cancelled = promiseWithResolvers<'cancelled'>();
  const stopListening = onAbort(signal, () => cancelled.resolve('cancelled'));
  const first = await within(timeoutMs, Promise.race([process.ended, cancelled.promise]));
  stopListening();
  if (typeof first === 'object') return first;
  const left = await endSession(shell, await within(END_MS, process.leader));
  return { kind: first ?? 'timed-out', left };
}

/** Ends a program with everything in its session. Returns what is left; undefined if that isn't known. */
async function endSession(
  shell: RemoteShell,
  leader: RemoteLeader | undefined,
): Promise<readonly number[] | undefined> {
  if (leader === undefined) return undefined;
  const data = [String(leader.pid), leader.startedAt];
  const { stdout, end } = await callProgram(shell, { script: END_SESSION, data }, { timeoutMs: END_MS });
  if (end.kind !== 'exited' || end.exitCode !== 0) return undefined;
  return readPids(stdout.toString().split(/\s+/));
}

/** Waits for the rest of the output, which a slow connection may deliver late. Returns false if it is held open. */
async function drain(streams: readonly ReturnType<typeof collect>[]): Promise<boolean> {
  const until = performance.now() + MAX_DRAIN_MS;
  const ended = Promise.all(streams.map((one) => one.ended)).then(() => true);
  const count = (): number => streams.reduce((sum, one) => sum + one.bytes(), 0);
  for (let before = -1; before !== count() && performance.now() < until;) {
    before = count();
    if ((await within(DRAIN_MS, ended)) === true) return true;
  }
  return false;
}

function collect(stream: Readable) {
  const kept = createBoundedOutput(KEEP_BYTES);
  let bytes = 0;
  let isBinary = false;
  stream.on('data', (chunk: Buffer) => {
    // As git and grep decide it.
    if (bytes < KEEP_BYTES) isBinary ||= chunk.includes(0);
    bytes += chunk.length;
    kept.add(chunk);
  });
  return {
    ended: finished(stream).catch(() => undefined),
    bytes: () => bytes,
    read: (): Stream => ({ ...kept.finish(), bytes, isBinary }),
  };
}
