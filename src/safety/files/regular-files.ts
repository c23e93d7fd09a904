import { randomBytes } from 'node:crypto';
import { access, constants, link, lstat, open, realpath, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { ToolError, codeOf } from '../../core/errors.ts';

/** The reason why a file wasn't read. */
type ReadProblem = 'missing' | 'link' | 'not-regular' | 'too-large' | 'moved' | 'unreadable';

type RegularFile =
  | { readonly kind: 'read'; readonly bytes: Buffer }
  | { readonly kind: ReadProblem; readonly reason: string };

const MISSING = { kind: 'missing', reason: 'it does not exist' } as const;
const LINK = { kind: 'link', reason: 'it is a link' } as const;
const NOT_REGULAR = { kind: 'not-regular', reason: 'it is not a regular file' } as const;

const PROBLEMS = new Map<string, { readonly kind: ReadProblem; readonly reason: string }>([
  ['ENOENT', MISSING],
  ['ENOTDIR', MISSING],
  ['ELOOP', LINK],
  ['EMLINK', LINK],
  ['ENXIO', NOT_REGULAR],
  ['ENODEV', NOT_REGULAR],
  ['EISDIR', NOT_REGULAR],
  ['NOT_REGULAR', NOT_REGULAR],
  ['MOVED', { kind: 'moved', reason: 'it was replaced while it was being read' }],
]);

/** Reads a file that `openRegularFile` opens, through one descriptor. `realPath` must not contain links. */
export async function readRegularFile(realPath: string, maxBytes: number): Promise<RegularFile> {
  try {
    const handle = await openRegularFile(realPath);
    // A file in /proc, or one that is being written, may contain more than its reported size.
    const bytes = await readAndClose(handle, maxBytes + 1);
    return bytes.length > maxBytes
      ? { kind: 'too-large', reason: `it is larger than ${maxBytes} bytes` }
      : { kind: 'read', bytes };
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    return PROBLEMS.get(code) ?? { kind: 'unreadable', reason: `it can't be read (${code})` };
  }
}

async function readAndClose(handle: FileHandle, maxBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(maxBytes);
  let length = 0;
  try {
    while (length < maxBytes) {
      const { bytesRead } = await handle.read(buffer, length, maxBytes - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
  } finally {
    await handle.close();
  }
  // A copy, so that the content of a small file doesn't retain the whole buffer.
  return Buffer.from(buffer.subarray(0, length));
}

/**
 * Opens a regular file for reading: never follows a link, never blocks on a pipe, and detects a folder on the way that was replaced by
 * a link. `realPath` must not contain links.
 * @throws Error with the code of the system if it can't be opened; `NOT_REGULAR` or `MOVED` if it isn't that file
 */
export async function openRegularFile(realPath: string): Promise<FileHandle> {
  // O_NONBLOCK: opening a named pipe would wait for a writer. Windows has neither flag.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const handle = await open(realPath, flags);
  try {
    const opened = await handle.stat({ bigint: true });
    if (!opened.isFile()) throw refused('NOT_REGULAR', 'it is not a regular file');
    const now = await stat(realPath, { bigint: true });
    if (now.ino !== opened.ino || now.dev !== opened.dev || (await realpath(realPath)) !== realPath)
      throw refused('MOVED', 'it was replaced while it was opened');
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const refused = (code: string, message: string): Error => Object.assign(new Error(message), { code });

/**
 * Writes a file completely or not at all: to a temporary file first, then in its place. A new file never replaces one that was created
 * in the meantime. `realPath` must not contain links. `isUnchanged` checks the old file again, right before it is replaced.
 * @throws ToolError `file-not-found` without the folder, `plan-changed` if the file has changed.
 */
export async function replaceFile(
  realPath: string,
  text: string,
  { exists, isUnchanged }: { readonly exists: boolean; readonly isUnchanged: () => Promise<boolean> },
): Promise<void> {
  const folder = path.dirname(realPath);
  const temporary = path.join(folder, `.${path.basename(realPath)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    if (exists) await assertWritable(realPath);
    const mode = exists ? (await lstat(realPath)).mode & 0o777 : 0o644;
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if ((await realpath(folder)) !== folder || !(await isUnchanged())) throw changed(realPath);
    if (exists) await rename(temporary, realPath);
    // Unlike a rename, a link fails if the file exists.
    else await link(temporary, realPath);
  } catch (error) {
    throw asToolError(error, realPath);
  } finally {
    // A cleanup error must not hide the result.
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** Replacing a file needs no permission for the file itself, so one that somebody made read-only has to be checked. @throws ToolError */
export async function assertWritable(realPath: string): Promise<void> {
  // The access check always succeeds for root.
  if (((await lstat(realPath)).mode & 0o222) !== 0) return access(realPath, constants.W_OK);
  throw new ToolError(
    'invalid-file',
    `${realPath} is read-only. Nothing was changed.`,
    'If the user wants it changed, they can make it writable first.',
  );
}

/** Converts an error of the file system. */
export function asToolError(error: unknown, realPath: string): unknown {
  if (error instanceof ToolError) return error;
  const code = codeOf(error) ?? 'unknown';
  if (code === 'EEXIST') return changed(realPath);
  return new ToolError(
    code === 'ENOENT' ? 'file-not-found' : 'invalid-file',
    `${realPath} can't be written (${code}). Nothing was changed.`,
    'Check that the folder exists and is writable.',
    { cause: error },
  );
}

const changed = (realPath: string): ToolError =>
  new ToolError(
    'plan-changed',
    `${realPath} was changed by somebody else in the meantime. Nothing was written.`,
    'Read it again: config with action "read" returns its new hash. Then repeat the change with that.',
  );
