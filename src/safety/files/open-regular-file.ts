import { constants } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

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
