import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import pLimit from 'p-limit';
import { ToolError } from '../core/errors.ts';
import { formatBytes, plural } from '../core/format-values.ts';
import { containsPath, isBelow } from '../core/paths.ts';
import { sha256 } from '../core/values.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';
import { neverSent, outside, resolveNamedPath } from '../safety/files/named-path.ts';
import type { PathScope, ResolvedPath } from '../safety/files/named-path.ts';
import { readRegularFile } from '../safety/files/regular-files.ts';
import { resolveLinks } from '../safety/files/workspace.ts';

/** The files that dstack would send for one path in `files`. */
export interface MeasuredFiles {
  /** The path as written. */
  readonly from: string;
  readonly count: number;
  readonly bytes: number;
  readonly hash: string;
  /** The digest of all names and contents, which the gate compares with what dstack sends (`worker/wire_gate.py`). */
  readonly archive: string;
  /** The largest files, with their sizes. */
  readonly largest: readonly { readonly file: string; readonly size: number }[];
}

/** More entries can't be checked in a reasonable time. */
const MAX_ENTRIES = 20_000;
const SHOWN_LARGEST = 3;
/** Files that are read at the same time. */
const PARALLEL = 16;

/** Counts the files that dstack would send for a path. It replaces a link that leads out of the folder with its file. */
export async function measureFiles(
  introspection: Pick<Introspection, 'walk'>,
  root: ResolvedPath,
  scope: PathScope & { readonly from: string; readonly maxBytes: number },
): Promise<MeasuredFiles> {
  const listed = await introspection.walk({ root: root.path, limit: MAX_ENTRIES });
  const paths = listed ?? (await listAll(root.path));
  if (paths.length > MAX_ENTRIES) throw tooMany(root.path);
  const never = await Promise.all((scope.never ?? []).map(async (folder) => (await resolveLinks(folder)).realPath));
  const entries = await Promise.all(
    paths.map(async (file) => {
      const found = await lstat(file).catch(() => undefined);
      // A name that isn't valid UTF-8, or a file that was just removed.
      if (found === undefined) throw outside(file, "it can't be checked", scope.folders);
      const real = path.join(root.realPath, path.relative(root.path, file));
      if (never.some((folder) => isBelow(folder, real))) throw neverSent(file);
      if (!found.isSymbolicLink()) return { file, size: found.isFile() ? found.size : 0, found, real };
      if ((await realpath(file).catch(() => undefined)) === undefined) return { file, size: 0, found };
      const { realPath } = await resolveNamedPath(file, scope);
      const target = await stat(realPath);
      const size = target.isFile() ? target.size : 0;
      // dstack sends a link within the folder as a link.
      return { file, size, found: target, ...((await staysLink(file, root.path)) ? {} : { real: realPath }) };
    }),
  );
  const facts = entries.map(({ file, size, found }) => [
    path.relative(root.path, file),
    size,
    found.mtimeMs,
    found.mode,
  ]);
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  // Whoever calls refuses more than that.
  const archive = bytes > scope.maxBytes ? '' : await digestFiles(entries, root.path, scope);
  return {
    from: scope.from,
    archive,
    count: entries.filter(({ found }) => !found.isDirectory()).length,
    bytes,
    hash: sha256(JSON.stringify([archive, facts.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))])),
    largest: entries.toSorted((a, b) => b.size - a.size).slice(0, SHOWN_LARGEST),
  };
}

interface Entry {
  readonly file: string;
  readonly size: number;
  readonly found: { isFile(): boolean };
  /** The path that its content is read from; missing if dstack sends none. */
  readonly real?: string;
}

/**
 * Returns the digest of the names and contents of files, each read through a descriptor that is known to be the checked one. What is
 * swapped before dstack reads it has another digest, and isn't sent.
 */
async function digestFiles(entries: readonly Entry[], root: string, { folders }: PathScope): Promise<string> {
  const limit = pLimit(PARALLEL);
  const digests = await limit.map(entries, async ({ file, size, found, real }) => {
    if (real === undefined || !found.isFile()) return [];
    const read = await readRegularFile(real, size);
    if (read.kind !== 'read') throw outside(file, `it can't be checked: ${read.reason}`, folders);
    const name = path.relative(path.dirname(root), file).replaceAll(path.sep, '/');
    return [sha256(`${name}\0${sha256(read.bytes)}`)];
  });
  return sha256(digests.flat().sort().join('\n'));
}

/** Whether dstack keeps a link, as its target is in the folder that is sent (utils/files.py). Otherwise it sends the file. */
async function staysLink(link: string, root: string): Promise<boolean> {
  return containsPath(root, path.resolve(path.dirname(link), await readlink(link)));
}

/** Lists everything below a path but its `.git`, ignored or not: for a dstack that can't be asked. */
async function listAll(root: string): Promise<readonly string[]> {
  const paths: string[] = [];
  const open = [root];
  for (let next = open.pop(); next !== undefined && paths.length <= MAX_ENTRIES; next = open.pop()) {
    paths.push(next);
    const isFolder = next === root ? (await stat(next).catch(() => undefined))?.isDirectory() : true;
    if (isFolder !== true) continue;
    for (const entry of await readdir(next, { withFileTypes: true }).catch(() => [])) {
      const file = path.join(next, entry.name);
      if (!entry.isDirectory()) paths.push(file);
      else if (file !== path.join(root, '.git')) open.push(file);
    }
  }
  // dstack reports a missing path itself.
  return paths.length === 1 && (await lstat(root).catch(() => undefined)) === undefined ? [] : paths;
}

/** Describes all files that would be sent. Returns nothing if there are none. */
export function describeFiles(files: readonly MeasuredFiles[]): string[] {
  if (files.length === 0) return [];
  const count = files.reduce((sum, one) => sum + one.count, 0);
  return [
    `${plural(count, 'file')} (${formatBytes(sumBytes(files))}) from ${files.map(({ from }) => from).join(', ')}`,
  ];
}

const sumBytes = (files: readonly MeasuredFiles[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** @throws ToolError `invalid-file` if there is more to send than the operator allows, with the largest files */
export function assertSize(files: readonly MeasuredFiles[], maxBytes: number): void {
  if (sumBytes(files) <= maxBytes) return;
  const largest = files
    .flatMap((one) => one.largest)
    .sort((a, b) => b.size - a.size)
    .slice(0, SHOWN_LARGEST)
    .map(({ file, size }) => `${file} (${formatBytes(size)})`);
  throw new ToolError(
    'invalid-file',
    `\`files\` names ${describeFiles(files).join('')}, more than the ${formatBytes(maxBytes)} that one plan may send. The largest: ${largest.join(', ')}. Nothing was run or sent.`,
    'Leave what the run does not need out with a .dstackignore next to the files, and load large data in the run itself. The operator sets the limit with DSTACK_MCP_MAX_UPLOAD.',
  );
}

const tooMany = (folder: string): ToolError =>
  new ToolError(
    'invalid-file',
    `\`files\` names ${folder}, which has more than ${MAX_ENTRIES} files. Nothing was run or sent.`,
    'Name only the files that the run needs, or leave others out with a .dstackignore next to them.',
  );
