import { randomBytes } from 'node:crypto';
import { access, constants, link, lstat, open, realpath, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, ToolError } from '../../core/errors.ts';

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
    'Read it again with config (action validate), then repeat the change with its new hash.',
  );
