import { ToolError } from '../core/errors.ts';
import { showName } from '../render/untrusted.ts';
import { LOOK, NO_SUMS, SUM } from './copy-scripts.ts';
import { findActedOn, tooMany } from './copy-tree.ts';
import type { LeftOut, Tree, TreeEntry } from './copy-tree.ts';
import { failedInRun, runScript } from './run-script.ts';
import type { InRun } from './remote-shell.ts';

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
