import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { RemoteEnd, RemoteProgram, RemoteShell } from './remote-shell.ts';

/** The result of a short program of this server. */
export interface ProgramResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly end: RemoteEnd;
  /** It printed more than `maxBytes`, and was given up. */
  readonly isTooLong: boolean;
}

export interface ProgramOptions {
  /** Defaults to no limit: then `signal` has to end it. */
  readonly timeoutMs?: number | undefined;
  readonly stdin?: string;
  readonly signal?: AbortSignal | undefined;
  /** A program of the run that prints more is not ours. Defaults to 256 KiB. */
  readonly maxBytes?: number;
}

const MAX_BYTES = 256 * 1024;

/** Runs a short program, and ends its connection after `timeoutMs`. Too much output ends it, too. */
export async function callProgram(
  shell: RemoteShell,
  program: RemoteProgram,
  { timeoutMs, stdin = '', signal, maxBytes = MAX_BYTES }: ProgramOptions,
): Promise<ProgramResult> {
  const timeout = timeoutMs === undefined ? [] : [AbortSignal.timeout(Math.max(0, Math.ceil(timeoutMs)))];
  const signals = [...timeout, ...(signal === undefined ? [] : [signal])];
  const process = shell.start(program, { signal: AbortSignal.any(signals) });
  let isTooLong = false;
  const giveUp = (): void => {
    isTooLong = true;
    process.kill();
    // Processes that the program left can hold its output open.
    process.stdout.destroy();
    process.stderr.destroy();
  };
  // A program that ended early doesn't read: its exit code is the error.
  process.stdin.on('error', () => undefined);
  process.stdin.end(stdin);
  const [stdout, stderr, end] = await Promise.all([
    readAtMost(process.stdout, maxBytes, giveUp),
    readAtMost(process.stderr, Math.max(maxBytes, MAX_BYTES), giveUp),
    process.ended,
  ]);
  return { stdout, stderr: stderr.toString(), end, isTooLong };
}

async function readAtMost(stream: Readable, maxBytes: number, giveUp: () => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else giveUp();
  });
  // It is cut off if the program is given up; how that ended is in its end.
  await finished(stream).catch(() => undefined);
  return Buffer.concat(chunks);
}

/** Reads the process IDs that a program printed; not more than a person can look at. */
export const readPids = (words: readonly string[]): readonly number[] =>
  words
    .filter((word) => /^\d{1,10}$/.test(word))
    .slice(0, 20)
    .map(Number);
