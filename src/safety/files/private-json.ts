import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Log } from '../../core/log.ts';
import { writePrivateFile } from './write-private-file.ts';

const withDigest = z.looseObject({ digest: z.string() });

/** Reads a file that `writePrivateJson` wrote. Returns undefined if it is missing or damaged. */
export async function readPrivateJson<S extends z.ZodObject>(
  file: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  try {
    const { digest, ...value } = withDigest.parse(JSON.parse(await readFile(file, 'utf8')));
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
