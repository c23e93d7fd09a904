import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import pLimit from 'p-limit';
import { ToolError } from '../core/errors.ts';
import { openRegularFile } from '../safety/files/regular-files.ts';
import { fileKindOf } from '../safety/files/workspace.ts';
import { showName } from '../render/untrusted.ts';
import { STAGE_PREFIX } from './copy-scripts.ts';
import { foldName, tooMany } from './copy-tree.ts';
import type { LeftOut, Tree, TreeEntry } from './copy-tree.ts';

/** Lists the files that dstack would send for a folder: its own rules decide what is ignored. Undefined if it can't be asked. */
export type Walk = (question: {
  readonly root: string;
  readonly limit: number;
}) => Promise<readonly string[] | undefined>;

/** Files that are read at the same time. */
const PARALLEL = 16;

/** Lists what to upload of a folder. @throws ToolError `cli-not-understood` if dstack can't say what is ignored */
export async function listLocalFolder(root: string, walk: Walk, maxEntries: number): Promise<Tree> {
  const paths = await walk({ root, limit: maxEntries });
  if (paths === undefined)
    throw new ToolError(
      'cli-not-understood',
      "dstack didn't answer which files of the folder .gitignore and .dstackignore leave out. Nothing was copied.",
      'Copy single files, or call doctor.',
    );
  if (paths.length > maxEntries) throw tooMany(maxEntries);
  const names = paths
    .map((file) => path.relative(root, file))
    .filter((name) => name !== '')
    .map((name) => name.split(path.sep).join('/'));
  const limit = pLimit(PARALLEL);
  const found = await limit.map(names, (name) => readLocalEntry(root, name));
  const entries: TreeEntry[] = [];
  const leftOut: LeftOut[] = [];
  for (const one of found) {
    if (typeof one === 'string') throw changed(one);
    if ('why' in one) leftOut.push(one);
    else entries.push(one);
  }
  return { entries, leftOut: leftOut.filter(({ name }) => !isInGit(name)) };
}

/** Whether a path is Git's on some file system. */
export const isInGit = (name: string): boolean => foldName(name).split('/').includes('.git');

/** Returns the facts of a file or folder to upload, or why it is left out; its name if it is gone. */
export async function readLocalEntry(root: string, name: string): Promise<TreeEntry | LeftOut | string> {
  if (isInGit(name)) return { name, why: 'it is in a .git folder' };
  if (name.split('/').some((part) => part.startsWith(STAGE_PREFIX))) return { name, why: 'it is an unfinished copy' };
  const found = await lstat(path.join(root, ...name.split('/')), { bigint: true }).catch(() => undefined);
  if (found === undefined) return name;
  if (found.isSymbolicLink()) return { name, why: 'it is a link' };
  if (!found.isFile() && !found.isDirectory()) return { name, why: 'it is not a regular file' };
  if (fileKindOf(name) === 'env') return { name, why: 'env files have secrets' };
  return {
    name,
    kind: found.isFile() ? 'file' : 'folder',
    size: found.isFile() ? Number(found.size) : 0,
    modifiedMs: Number(found.mtimeMs),
    executable: (found.mode & 0o100n) !== 0n,
    device: String(found.dev),
  };
}

/** Returns the SHA-256 of local files, by name. One that can't be read has none. */
export async function sumLocalFiles(
  names: readonly string[],
  placeOf: (name: string) => string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const limit = pLimit(PARALLEL);
  const sums = await limit.map(names, async (name) => {
    signal.throwIfAborted();
    return [name, await sumFile(placeOf(name), signal).catch(() => undefined)] as const;
  });
  return new Map(sums.flatMap(([name, sum]) => (sum === undefined ? [] : [[name, sum] as const])));
}

async function sumFile(file: string, signal: AbortSignal): Promise<string> {
  const handle = await openRegularFile(file);
  try {
    const hash = createHash('sha256');
    for await (const chunk of readChunks(handle)) {
      signal.throwIfAborted();
      hash.update(chunk);
    }
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

/** Read at once. */
export const CHUNK_BYTES = 1024 * 1024;

/** Reads an open file from its position to its end, or at most so many bytes of it. */
export async function* readChunks(handle: FileHandle, maxBytes = Infinity): AsyncGenerator<Buffer> {
  for (let left = maxBytes; left > 0;) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, left));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    left -= bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Opens a file that was listed. @throws ToolError `plan-changed` if it is another one, or a link */
export const openListed = (place: string, { name }: TreeEntry): Promise<FileHandle> =>
  openRegularFile(place).catch(() => {
    throw changed(name);
  });

/** @throws ToolError `plan-changed` if an open file was written to since it was listed */
export async function assertUnchanged(handle: FileHandle, { name, size, modifiedMs }: TreeEntry): Promise<void> {
  const after = await handle.stat();
  if (after.size !== size || Math.floor(after.mtimeMs) !== Math.floor(modifiedMs)) throw changed(name);
}

/** Refuses a file that isn't what it was when it was listed. */
export const changed = (name: string): ToolError =>
  new ToolError(
    'plan-changed',
    'A file changed while it was copied. Nothing was copied.',
    'Call copy again once nothing writes to it; files that are the same are skipped.',
    { untrusted: showName(name) },
  );
