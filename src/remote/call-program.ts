import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { RemoteEnd, RemoteProgram, RemoteShell } from './remote-shell.ts';

/** The result of a short program of this server. */
export interface ProgramResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly end: RemoteEnd;
}

/** A program of the run that prints more is not ours. */
const MAX_OUTPUT_BYTES = 256 * 1024;

/** Runs a short program whose output is small, and ends its connection after `timeoutMs`. More output ends it, too. */
export async function callProgram(
  shell: RemoteShell,
  program: RemoteProgram,
  { timeoutMs, stdin = '', signal }: { timeoutMs: number; stdin?: string; signal?: AbortSignal },
): Promise<ProgramResult> {
  const timeout = AbortSignal.timeout(Math.max(0, Math.ceil(timeoutMs)));
  const process = shell.start(program, { signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]) });
  process.stdin.end(stdin);
  const read = (stream: Readable): Promise<Buffer> => readAtMost(stream, () => process.kill());
  const [stdout, stderr, end] = await Promise.all([read(process.stdout), read(process.stderr), process.ended]);
  return { stdout, stderr: stderr.toString(), end };
}

async function readAtMost(stream: Readable, kill: () => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    else kill();
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
