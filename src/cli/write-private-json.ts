import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../log.ts';

/** Writes a JSON file that only this user can read, whole or not at all. What can be made again isn't worth an error: it is logged. */
export async function writePrivateJson(file: string, value: unknown, log: Log): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(temporary, JSON.stringify(value), { mode: 0o600, flag: 'wx' });
    await rename(temporary, file);
  } catch (error) {
    log.warn({ err: error, file }, 'a file of the cache could not be written');
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}
