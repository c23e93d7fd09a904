import { randomBytes } from 'node:crypto';
import { link, lstat, open, realpath, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';

/**
 * Writes a file as a whole or not at all: beside it first, then in its place. A new file never takes the place of one that came meanwhile.
 * `realPath` must have no links in it, and `isUnchanged` looks at the old one once more, right before.
 * @throws ToolError `file-not-found` without the folder, `plan-changed` when the file isn't as it was.
 */
export async function replaceFile(
  realPath: string,
  text: string,
  { exists, isUnchanged }: { readonly exists: boolean; readonly isUnchanged: () => Promise<boolean> },
): Promise<void> {
  const folder = path.dirname(realPath);
  const beside = path.join(folder, `.${path.basename(realPath)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const mode = exists ? (await lstat(realPath)).mode & 0o777 : 0o644;
    const handle = await open(beside, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if ((await realpath(folder)) !== folder || !(await isUnchanged())) throw changed(realPath);
    if (exists) await rename(beside, realPath);
    // A link, other than a rename, fails where something is there already.
    else await link(beside, realPath);
  } catch (error) {
    throw asToolError(error, realPath);
  } finally {
    // A failure to tidy up must not hide what came of it.
    await rm(beside, { force: true }).catch(() => undefined);
  }
}

function asToolError(error: unknown, realPath: string): unknown {
  if (error instanceof ToolError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code === 'EEXIST') return changed(realPath);
  return new ToolError(
    code === 'ENOENT' ? 'file-not-found' : 'invalid-file',
    `${realPath} can't be written (${code}). Nothing was changed.`,
    'The folder must exist and allow it.',
    { cause: error },
  );
}

const changed = (realPath: string): ToolError =>
  new ToolError(
    'plan-changed',
    `${realPath} was changed by somebody else meanwhile. Nothing was written.`,
    'Read it again with config (action validate), and repeat the change with its new hash.',
  );
