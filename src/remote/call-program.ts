import { buffer } from 'node:stream/consumers';
import type { RemoteEnd, RemoteProgram, RemoteShell } from './remote-shell.ts';

/** The result of a short program of this server. */
export interface ProgramResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly end: RemoteEnd;
}

/** Runs a short program whose output is small, and ends its connection after `timeoutMs`. */
export async function callProgram(
  shell: RemoteShell,
  program: RemoteProgram,
  { timeoutMs, stdin = '', signal }: { timeoutMs: number; stdin?: string; signal?: AbortSignal },
): Promise<ProgramResult> {
  const timeout = AbortSignal.timeout(Math.max(0, Math.ceil(timeoutMs)));
  const process = shell.start(program, { signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]) });
  process.stdin.end(stdin);
  const [stdout, stderr, end] = await Promise.all([buffer(process.stdout), buffer(process.stderr), process.ended]);
  return { stdout, stderr: stderr.toString(), end };
}
