import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type * as z from 'zod';
import type { Log } from '../../core/log.ts';
import { isRecord } from '../../core/values.ts';

/** Creates a folder for this user only, or makes an existing one private. @throws Error if it can't be that */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw refused(`${folder} is not a folder`, 'ENOTDIR');
  if (process.platform === 'win32') return;
  if (found.uid !== process.getuid?.()) throw refused(`${folder} belongs to another user`, 'EPERM');
  if (!isPrivate(found)) chmodSync(folder, 0o700);
}

/** An error like those of the file system, with which it is reported. */
const refused = (message: string, code: string): Error => Object.assign(new Error(message), { code, syscall: 'mkdir' });

/** Reads a file. @throws Error unless it is a regular file that only this user can read and write, in such a folder */
export function readPrivateFile(file: string): Buffer {
  const fd = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Error(`${file} is not a regular file`);
    // Whoever can write to the folder could have moved another file there.
    if (![found, lstatSync(path.dirname(file))].every(isOwn)) throw new Error(`${file} is open to other users`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

const isOwn = (found: Stats): boolean =>
  process.platform === 'win32' || (found.uid === process.getuid?.() && isPrivate(found));

const isPrivate = ({ mode }: Stats): boolean => (mode & 0o077) === 0;

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

/** Reads a file that `writePrivateJson` wrote. Returns undefined if it is missing or damaged. */
export async function readPrivateJson<S extends z.ZodObject>(
  file: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  try {
    const read: unknown = JSON.parse(await readFile(file, 'utf8'));
    const { digest, ...value } = isRecord(read) ? read : {};
    return digestOf(value) === digest ? schema.parse(value) : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the paths of the JSON files in a folder, by name; none if it doesn't exist. */
export async function listJsonFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => path.join(folder, name));
}

/** Writes a JSON file that only this user can read, completely or not at all. Errors are only logged: a cache can be rebuilt. */
export async function writePrivateJson(
  file: string,
  value: Readonly<Record<string, unknown>>,
  log: Log,
): Promise<void> {
  try {
    await writePrivateFile(file, JSON.stringify({ ...value, digest: digestOf(value) }));
  } catch (error) {
    log.warn({ err: error, file }, 'could not write a cache file');
  }
}

const digestOf = (value: Readonly<Record<string, unknown>>): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('base64url');
