import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import { ownText } from '../core/transcript.ts';
import { lastBoundary } from '../dstack/run/collect-output.ts';
import { callProgram, readPids } from './remote-shell.ts';
import type { ProgramResult, RemoteShell } from './remote-shell.ts';
import { END_MS } from './run-command.ts';
import type { CommandInput, CommandOptions } from './run-command.ts';
import { LIST_JOBS, READ_JOB, START_JOB, STOP_JOB, SUPERVISE_JOB } from './programs.ts';

/** A background command in a run. `lost`: what supervised it was killed, so how the command ended isn't known. */
export interface BackgroundJob {
  readonly id: string;
  readonly state: 'running' | 'ended' | 'lost';
  readonly exitCode?: number;
  readonly seconds: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** The beginning of it. */
  readonly command: string;
}

/** A part of what a background command has printed. */
export interface JobOutput {
  readonly job: BackgroundJob;
  readonly stdout: string;
  readonly stderr: string;
  /** The beginning of the next part. */
  readonly newer: string;
  /** Bytes between this part and the end. */
  readonly more: number;
  /** Bytes before this part. */
  readonly before: number;
}

export interface JobStop {
  readonly before: BackgroundJob['state'];
  readonly exitCode?: number;
  readonly left: readonly number[];
}

/** An id that this server made. */
const jobId = z.string().regex(/^[0-9a-f]{8}$/, 'an id of a background command');

/** Starts a background command and returns its id. It survives this server and its connection. */
export async function startJob(
  shell: RemoteShell,
  { command, stdin = '', cwd = '' }: CommandInput,
  call: CommandOptions,
): Promise<string> {
  const id = randomBytes(4).toString('hex');
  const data = [id, command, cwd, String(Buffer.byteLength(stdin)), SUPERVISE_JOB];
  const result = await callProgram(shell, { script: START_JOB, data }, { ...call, stdin });
  if (result.end.kind === 'lost')
    throw new CommandFailed({
      outcome: 'unknown',
      summary: "The connection was lost: it isn't known whether the command was started.",
      printed: [],
      facts: { id },
      next: 'Call exec with action "list" first. Start the command again only if it isn’t listed.',
    });
  expectDone(result, 'The command was not started.');
  return id;
}

/** Reads what a background command printed, from a cursor on, or the end of it. Undefined if there is no such command. */
export async function readJob(
  shell: RemoteShell,
  { id, cursor, maxBytes }: { id: string; cursor?: string | undefined; maxBytes: number },
  call: CommandOptions,
): Promise<JobOutput | undefined> {
  const offsets = cursor?.split('.') ?? ['-1', '-1'];
  const data = [id, ...offsets, String(maxBytes)];
  const result = await callProgram(shell, { script: READ_JOB, data }, call);
  expectDone(result, 'Nothing was read.');
  if (result.stdout.length === 0) return undefined;
  const [line, rest] = splitLine(result.stdout);
  const job = parseJob(line);
  const isFirst = cursor === undefined;
  const out = takePage(rest, { isFirst, size: job.stdoutBytes });
  const err = takePage(out.rest, { isFirst, size: job.stderrBytes });
  return {
    job,
    stdout: out.text,
    stderr: err.text,
    newer: `${out.next}.${err.next}`,
    before: out.from + err.from,
    more: Math.max(0, job.stdoutBytes - out.next) + Math.max(0, job.stderrBytes - err.next),
  };
}

/** Lists the background commands of a run, the latest first. */
export async function listJobs(shell: RemoteShell, call: CommandOptions): Promise<readonly BackgroundJob[]> {
  const result = await callProgram(shell, { script: LIST_JOBS, data: [] }, call);
  expectDone(result, 'Nothing was read.');
  const lines = result.stdout.toString().split('\n');
  return lines.filter((line) => line !== '').map(parseJob);
}

/** Ends a background command with its session. Undefined if there is no such command. */
export async function stopJob(shell: RemoteShell, id: string, call: CommandOptions): Promise<JobStop | undefined> {
  const timeoutMs = Math.max(call.timeoutMs, END_MS);
  const result = await callProgram(shell, { script: STOP_JOB, data: [id] }, { ...call, timeoutMs });
  expectDone(result, "It isn't known whether it was ended.");
  const [before, code, ...left] = result.stdout.toString().trim().split(/\s+/);
  if (before === '' || before === undefined) return undefined;
  return { before: stateOf(before, 0), ...codeOf(code), left: readPids(left) };
}

function expectDone({ end, stderr }: ProgramResult, consequence: string): void {
  if (end.kind === 'exited' && end.exitCode === 0) return;
  const isOver = end.kind === 'exited';
  // Anything in the run can write this, so it is fenced.
  const printed = { transcript: ownText(isOver ? stderr : end.message), untrusted: true };
  throw new CommandFailed({
    outcome: 'failed',
    summary: `${isOver ? 'The run reported a failure.' : "The run can't be reached over its connection."} ${consequence}`,
    printed: [printed],
    facts: isOver ? {} : { code: 'connection-lost' },
    next: 'Check the run with get.',
  });
}

function splitLine(bytes: Buffer): [string, Buffer] {
  const end = bytes.indexOf('\n');
  return end === -1 ? [bytes.toString(), Buffer.alloc(0)] : [bytes.toString('utf8', 0, end), bytes.subarray(end + 1)];
}

// A program of the run writes these lines, and anything in the run can replace it: what isn't plain is refused.
const jobLine = z.tuple([
  jobId,
  z.enum(['starting', 'running', 'ended', 'lost']),
  z.string().regex(/^(?:-|\d{1,3})$/),
  z.coerce.number().int().nonnegative(),
  z.coerce.number().int().nonnegative(),
  z.coerce.number().int().nonnegative(),
  z.coerce.number().int().nonnegative(),
  z.string().max(1_000),
]);

/** The supervisor writes its pid right after its start. */
const STARTING_SECONDS = 30;

function parseJob(line: string): BackgroundJob {
  const words = line.split(' ');
  const parsed = jobLine.safeParse(words.length === 7 ? [...words, ''] : words);
  if (!parsed.success)
    throw new ToolError('connection-lost', 'The run returned an unexpected answer.', 'Check the run with get.');
  const [id, state, code, begun, ended, stdoutBytes, stderrBytes, command] = parsed.data;
  const seconds = Math.max(0, ended - begun);
  return {
    id,
    state: stateOf(state, seconds),
    ...codeOf(code),
    seconds,
    stdoutBytes,
    stderrBytes,
    command: Buffer.from(command, 'base64').toString(),
  };
}

function stateOf(word: string, seconds: number): BackgroundJob['state'] {
  if (word === 'running' || word === 'ended') return word;
  return word === 'starting' && seconds < STARTING_SECONDS ? 'running' : 'lost';
}

const codeOf = (word: string | undefined): { exitCode?: number } =>
  word !== undefined && /^\d{1,3}$/.test(word) && Number(word) <= 255 ? { exitCode: Number(word) } : {};

interface Page {
  readonly text: string;
  readonly from: number;
  readonly next: number;
  readonly rest: Buffer;
}

/**
 * Takes a page of one stream: whole characters, and whole lines unless one is longer than a page. Half of a secret on each of two pages
 * wouldn't be masked.
 */
function takePage(bytes: Buffer, { isFirst, size }: { isFirst: boolean; size: number }): Page {
  const [header, rest] = splitLine(bytes);
  const [from = 0, length = 0] = header.split(' ').map(Number);
  const page = rest.subarray(0, length);
  const lineStart = isFirst && from > 0 ? page.indexOf('\n') + 1 : 0;
  const lastLine = from + length < size ? page.lastIndexOf('\n') + 1 : 0;
  const end = lastLine > lineStart ? lastLine : lastBoundary(page);
  return { text: page.toString('utf8', lineStart, end), from, next: from + end, rest: rest.subarray(length) };
}
