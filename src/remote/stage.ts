import { randomBytes } from 'node:crypto';
import { link, lstat, mkdir, readdir, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { codeOf, ToolError } from '../core/errors.ts';
import { startTimeOf } from '../core/exclusive-lock.mjs';
import { formatBytes, sha256 } from '../core/values.ts';
import { assertWritable } from '../safety/files/regular-files.ts';
import { STAGE_PREFIX } from './copy-scripts.ts';

/** A local file as it was when it was compared; undefined if there was none. */
export type Before = { readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint } | undefined;

/** A finished file in the staging folder, and its place. */
export interface StagedFile {
  readonly staged: string;
  /** Absolute, without links. */
  readonly place: string;
  readonly before: Before;
}

/** A folder for unfinished files, on the same volume as their place. */
export interface Stage {
  /** Returns the path of the unfinished file with this number. Names of a run are used only for finished files. */
  file(number: number): string;
  /** Removes everything unfinished. */
  remove(): Promise<void>;
}

/**
 * Creates a staging folder in the nearest existing folder above a place, and removes those that were left there by servers that were
 * killed. @throws ToolError `invalid-file` if it can't be created, or the disk has too little room
 */
export async function createStage(place: string, bytes: number): Promise<Stage> {
  let folder = place;
  while ((await stat(folder).catch(() => undefined))?.isDirectory() !== true) folder = path.dirname(folder);
  await assertRoom(folder, bytes);
  await removeAbandoned(folder);
  const stage = path.join(folder, `${await ownPrefix()}${randomBytes(6).toString('hex')}`);
  await mkdir(stage, { mode: 0o700 }).catch((error: unknown) => {
    throw asCopyError(error, folder);
  });
  return {
    file: (number) => path.join(stage, String(number)),
    remove: () => rm(stage, { recursive: true, force: true }),
  };
}

/** The start of a name that tells whose folder it is: of this computer, of a process, and of that process alone. */
const ownPrefix = async (): Promise<string> =>
  `${prefixOfHost()}${process.pid}-${shortHash((await startTimeOf(process.pid)) ?? '')}-`;

const shortHash = (text: string): string => sha256(text).slice(0, 8);
const prefixOfHost = (): string => `${STAGE_PREFIX}${shortHash(hostname())}-`;

async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.startsWith(prefixOfHost()))) {
    const [pid = '', started] = name.slice(prefixOfHost().length).split('-');
    const startedAt = await startTimeOf(Number(pid));
    if (startedAt === undefined || shortHash(startedAt) !== started)
      await rm(path.join(folder, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Kept free on the disk, in addition to what is copied. */
const RESERVE_BYTES = 50 * 1024 ** 2;

async function assertRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes + RESERVE_BYTES <= free) return;
  throw new ToolError(
    'invalid-file',
    `The disk of ${folder} has ${formatBytes(free)} free, too little for ${formatBytes(bytes)} and the ${formatBytes(RESERVE_BYTES)} that are left free. Nothing was copied.`,
    'Ask the user to free some space, or copy less.',
  );
}

/** @throws ToolError `invalid-file` if the disk of a file is full */
export async function assertSpace(file: string): Promise<void> {
  const { bavail } = await statfs(file);
  if (bavail === 0) throw asCopyError(Object.assign(new Error('The disk is full.'), { code: 'ENOSPC' }), file);
}

/** @throws ToolError `invalid-file` if something other than a folder has its name, such as a link */
export async function assertFolder(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => undefined);
  if (found !== undefined && !found.isDirectory())
    throw new ToolError(
      'invalid-file',
      `The destination has ${found.isSymbolicLink() ? 'a link' : 'something else'} where a folder is needed. Nothing was copied.`,
      'Use another path for `local`.',
      { untrusted: folder },
    );
}

/** Creates a folder, and those above it, unless it exists. @throws ToolError `plan-changed` if a link leads there by now */
export async function makeFolder(folder: string): Promise<void> {
  if ((await lstat(folder).catch(() => undefined)) === undefined) {
    await makeFolder(path.dirname(folder));
    await mkdir(folder).catch((error: unknown) => {
      throw asCopyError(error, folder);
    });
  }
  await assertUnmoved(folder);
}

/**
 * Moves a finished file to its place. A new file never replaces one that was created in the meantime, and an old one is replaced only
 * if it is still what it was. @throws ToolError `plan-changed`
 */
export async function putInPlace({ staged, place, before }: StagedFile): Promise<void> {
  try {
    await assertUnmoved(path.dirname(place));
    if (before === undefined) {
      // Unlike a rename, a link fails if the file exists.
      await link(staged, place);
      return;
    }
    await assertWritable(place);
    const now = await readBefore(place);
    if (now === undefined || now.ino !== before.ino || now.size !== before.size || now.mtimeNs !== before.mtimeNs)
      throw changedMeanwhile(place);
    await rename(staged, place);
  } catch (error) {
    throw asCopyError(error, place);
  }
}

/** Returns the facts of a regular file; undefined if there is none. @throws ToolError `invalid-file` if it is something else */
export async function readBefore(file: string): Promise<Before> {
  const found = await lstat(file, { bigint: true }).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw asCopyError(error, file);
  });
  if (found === undefined) return undefined;
  if (found.isFile()) return { ino: found.ino, size: found.size, mtimeNs: found.mtimeNs };
  const kind = found.isSymbolicLink() ? 'a link' : found.isDirectory() ? 'a folder' : 'not a regular file';
  throw new ToolError(
    'invalid-file',
    `The destination is ${kind}, which is never overwritten or followed. Nothing was copied.`,
    'Use another path for `local`.',
    { untrusted: file },
  );
}

/** @throws ToolError `plan-changed` if a folder is, or is in, a link by now */
async function assertUnmoved(folder: string): Promise<void> {
  if ((await realpath(folder).catch(() => undefined)) !== folder) throw changedMeanwhile(folder);
}

const changedMeanwhile = (file: string): ToolError =>
  new ToolError(
    'plan-changed',
    'A file or folder was changed by somebody else in the meantime. It was left alone.',
    'Call copy again: it says what differs now.',
    { untrusted: file },
  );

/** Converts an error of the local file system. */
export function asCopyError(error: unknown, file: string): unknown {
  const code = codeOf(error);
  if (error instanceof ToolError || code === undefined) return error;
  if (code === 'EEXIST') return changedMeanwhile(file);
  const reason = REASONS.get(code) ?? code;
  return new ToolError(
    'invalid-file',
    `A file or folder can't be written: ${reason}.`,
    'Check the folder and its disk, then call copy again: files that are the same are skipped.',
    { cause: error, untrusted: file },
  );
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', 'the disk is full for this user'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'permission denied'],
  ['EROFS', 'the file system is read-only'],
  ['EXDEV', 'it is on another volume than the folder above it: copy into it directly'],
  ['ENAMETOOLONG', 'its name is too long'],
]);
