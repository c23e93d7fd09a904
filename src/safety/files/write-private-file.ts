import { randomUUID } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateFolder } from './private-folder.ts';

/**
 * Writes a file that only this user can read, completely or not at all. Makes its folder private, too, and replaces an existing file.
 * @throws Error if the file system doesn't allow it. No temporary file is left then.
 */
export async function writePrivateFile(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  makePrivateFolder(path.dirname(file));
  try {
    await writeFile(temporary, content, { mode: 0o600, flag: 'wx' });
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
