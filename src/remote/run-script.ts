import type { Readable } from 'node:stream';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import { ownText } from '../core/transcript.ts';
import { createBoundedOutput } from '../dstack/run/collect-output.ts';
import { callProgram } from './remote-shell.ts';
import type { RemoteEnd, RemoteProgram, RemoteShell } from './remote-shell.ts';
import { SCRIPT_EXIT } from './copy-scripts.ts';

const KEPT_BYTES = 4_000;

/** Collects the ends of what a program writes, which has to be read while it runs. */
export function collect(stream: Readable): () => string {
  const output = createBoundedOutput(KEPT_BYTES);
  stream.on('data', (chunk: Buffer) => output.add(chunk));
  stream.on('error', () => undefined);
  return () => output.finish().text;
}

export interface ScriptOptions {
  readonly signal: AbortSignal;
  /** Lines for its standard input. Defaults to none. */
  readonly lines?: readonly string[];
  /** More output is refused. */
  readonly maxBytes: number;
}

/** Runs a program that only reads, and returns its output. @throws CommandFailed if it fails, ToolError if it was canceled */
export async function runScript(shell: RemoteShell, program: RemoteProgram, options: ScriptOptions): Promise<string> {
  const { signal, lines = [], maxBytes } = options;
  const stdin = lines.map((line) => `${line}\n`).join('');
  const { stdout, stderr, end, isTooLong } = await callProgram(shell, program, { signal, stdin, maxBytes });
  assertNotCanceled(signal);
  if (isTooLong) throw failedInRun('The run has a list of files that is too long to read. Nothing was copied.', '');
  assertEnded(end, stderr);
  return stdout.toString();
}

/** @throws ToolError `cancelled` */
export function assertNotCanceled(signal: AbortSignal, what = 'Nothing was copied.'): void {
  if (signal.aborted)
    throw new ToolError(
      'cancelled',
      `The copy was canceled. ${what}`,
      'Call copy again: files that are the same are skipped.',
    );
}

/** @throws CommandFailed unless a program ended well */
export function assertEnded(end: RemoteEnd, stderr: string, what = 'Nothing was copied.'): void {
  if (end.kind === 'exited' && end.exitCode === 0) return;
  throw failedInRun(`${explainEnd(end, stderr)} ${what}`, stderr);
}

/** The programs that the run needs for copying. */
const NEEDED = /\b(?:tar|find|stat|tr|xargs|mv|readlink)\b/;

function explainEnd(end: RemoteEnd, stderr: string): string {
  if (end.kind === 'not-started') return "The connection to the run doesn't exist anymore.";
  if (end.kind === 'lost') return 'The connection to the run was lost.';
  if (/No space left|Disk quota exceeded/.test(stderr)) return "The run's disk is full.";
  if (/Read-only file system/.test(stderr)) return "The run's file system is read-only there.";
  if (/Permission denied|Operation not permitted/.test(stderr)) return 'The run refused it: permission denied.';
  switch (end.exitCode) {
    case SCRIPT_EXIT.missingTool:
      return `${NEEDED.exec(stderr)?.[0] ?? 'A program that copying needs'} isn't in the run's image.`;
    case SCRIPT_EXIT.cannotOpen:
      return "The folder can't be opened in the run.";
    case SCRIPT_EXIT.incomplete:
      return 'The files arrived incompletely.';
    case SCRIPT_EXIT.conflict:
      return 'A file with the same name was created in the run meanwhile, and was left alone.';
    case SCRIPT_EXIT.notPlaced:
      return 'Not all files could be put in place in the run.';
    case SCRIPT_EXIT.different:
      return 'The files that arrived in the run differ from those that were sent.';
    default:
      return 'Copying failed in the run.';
  }
}

/** Reports a failure in the run. What its programs wrote is shown fenced. */
export const failedInRun = (summary: string, stderr: string): CommandFailed =>
  new CommandFailed({
    outcome: 'failed',
    summary,
    printed: stderr.trim() === '' ? [] : [{ transcript: ownText(stderr), untrusted: true }],
    facts: { code: 'copy-failed' },
    next: 'If the cause is fixed, call copy again: files that are the same are skipped.',
  });
