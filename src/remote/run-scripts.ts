import type { Readable } from 'node:stream';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import { ownText } from '../core/transcript.ts';
import { createBoundedOutput } from '../dstack/run/collect-output.ts';
import { showName } from '../render/untrusted.ts';
import { LOOK, NO_SUMS, SCRIPT_EXIT, SUM } from './copy-scripts.ts';
import { findActedOn, tooMany } from './copy-tree.ts';
import type { LeftOut, Tree, TreeEntry } from './copy-tree.ts';
import { callProgram } from './remote-shell.ts';
import type { InRun, RemoteEnd, RemoteProgram, RemoteShell } from './remote-shell.ts';

/** A path in the run, looked up there. Nothing in it is trusted. */
export interface FoundPlace {
  readonly kind: 'file' | 'folder' | 'other' | 'missing';
  /** Absolute, without links. */
  readonly path: string;
  /** The facts of it; of the nearest folder above it if it is missing. */
  readonly entry: StatLine;
}

export interface StatLine extends Omit<TreeEntry, 'kind'> {
  readonly kind: TreeEntry['kind'] | 'link' | 'special';
}

/** A name has at most 4,096 bytes, and the facts before it about 80. */
const MAX_LINE_BYTES = 4_200;
const AVERAGE_LINE_BYTES = 400;

/** Finds a path in the run, and what is in it if it is a folder. @throws ToolError if that has too many files */
export async function look(
  run: InRun,
  path: string,
  maxEntries: number,
): Promise<FoundPlace & { readonly tree: Tree }> {
  const maxBytes = 4 * MAX_LINE_BYTES + maxEntries * AVERAGE_LINE_BYTES;
  const { place, lines } = await readLook(run, { data: [path, 'all'], lines: [], maxBytes });
  const leftOut: LeftOut[] = [];
  const entries: TreeEntry[] = [];
  for (const one of readStatLines(lines, maxEntries)) {
    const why = whyLeftOut(one.kind) ?? findActedOn(one.name);
    const { kind } = one;
    if (why !== undefined || kind === 'link' || kind === 'special') leftOut.push({ name: one.name, why: why ?? '' });
    else entries.push({ ...one, kind });
  }
  return { ...place, tree: { entries, leftOut } };
}

/** Finds a path in the run, and those of the names that exist in it if it is a folder. */
export async function lookFor(
  run: InRun,
  path: string,
  names: readonly string[],
): Promise<FoundPlace & { readonly existing: ReadonlyMap<string, StatLine> }> {
  const maxBytes = names.reduce((sum, name) => sum + Buffer.byteLength(name) + 200, 4 * MAX_LINE_BYTES);
  const { place, lines } = await readLook(run, {
    data: [path, 'named'],
    lines: names.map((name) => `./${name}`),
    maxBytes,
  });
  return { ...place, existing: new Map(readStatLines(lines, names.length).map((one) => [one.name, one])) };
}

async function readLook(
  { shell, signal }: InRun,
  { data, ...options }: { data: readonly [string, string]; lines: readonly string[]; maxBytes: number },
): Promise<{ readonly place: FoundPlace; readonly lines: readonly string[] }> {
  const output = await runScript(shell, { script: LOOK, data }, { signal, ...options });
  const [kind = '', path = '', line = '', ...lines] = output.split('\n');
  const entry = readStatLine(line);
  const known = (['file', 'folder', 'other', 'missing'] as const).find((one) => one === kind);
  if (known === undefined || entry === undefined || !path.startsWith('/') || path.includes('\ufffd'))
    throw failedInRun(`The run's answer about ${JSON.stringify(data[0])} can't be read. Nothing was copied.`, output);
  return { place: { kind: known, path, entry }, lines };
}

/** Returns why an entry of this kind isn't copied. */
const whyLeftOut = (kind: StatLine['kind']): string | undefined =>
  kind === 'link' ? 'it is a link' : kind === 'special' ? 'it is not a regular file' : undefined;

/** Returns the SHA-256 of files in the run, by name. Undefined if the run has no program for it. */
export async function sumFiles(
  { shell, signal }: InRun,
  folder: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string> | undefined> {
  if (names.length === 0) return new Map();
  const lines = names.map((name) => `./${name}`);
  const maxBytes = names.reduce((sum, name) => sum + Buffer.byteLength(name) + 80, 0);
  const output = await runScript(shell, { script: SUM, data: [folder] }, { signal, lines, maxBytes });
  if (output.trim() === NO_SUMS) return undefined;
  return new Map(
    output.split('\n').flatMap((line) => {
      const [, sum, name] = /^([0-9a-f]{64}) [ *]\.\/(.+)$/.exec(line) ?? [];
      return sum === undefined || name === undefined ? [] : [[name, sum] as const];
    }),
  );
}

function readStatLines(all: readonly string[], maxEntries: number): readonly StatLine[] {
  const lines = all.filter((line) => line !== '');
  if (lines.length > maxEntries) throw tooMany(maxEntries);
  return lines.map((line) => {
    const entry = readStatLine(line);
    // A name with a line break, or a program that isn't what it seems.
    if (entry === undefined)
      throw new ToolError(
        'invalid-file',
        "The run listed a file in a form that can't be read. Nothing was copied.",
        'Copy other files and folders one by one.',
        { untrusted: showName(line) },
      );
    return entry;
  });
}

const FILE_TYPE = 0o170000;
const KINDS: ReadonlyMap<number, StatLine['kind']> = new Map([
  [0o100000, 'file'],
  [0o040000, 'folder'],
  [0o120000, 'link'],
]);

function readStatLine(line: string): StatLine | undefined {
  const [, mode = '', device = '', size = '', seconds = '', name = ''] =
    /^([0-9a-f]{1,8}) (\d{1,20}) (\d{1,15}) (-?\d{1,20}) (?:\.\/)?(.+)$/.exec(line) ?? [];
  if (name === '') return undefined;
  const bits = Number.parseInt(mode, 16);
  const kind = KINDS.get(bits & FILE_TYPE) ?? 'special';
  return {
    name,
    kind,
    size: kind === 'file' ? Number(size) : 0,
    modifiedMs: Number(seconds) * 1_000,
    executable: (bits & 0o100) !== 0,
    device,
  };
}

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
async function runScript(shell: RemoteShell, program: RemoteProgram, options: ScriptOptions): Promise<string> {
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
const failedInRun = (summary: string, stderr: string): CommandFailed =>
  new CommandFailed({
    outcome: 'failed',
    summary,
    printed: stderr.trim() === '' ? [] : [{ transcript: ownText(stderr), untrusted: true }],
    facts: { code: 'copy-failed' },
    next: 'If the cause is fixed, call copy again: files that are the same are skipped.',
  });
