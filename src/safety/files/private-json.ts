import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import type { Log } from '../../core/log.ts';
import { writePrivateFile } from './write-private-file.ts';

const withDigest = z.looseObject({ digest: z.string() });

/** Reads what `writePrivateJson` wrote. Undefined where there is nothing, or nothing whole: a file that was damaged counts as none. */
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

/** Writes a JSON file that only this user can read, whole or not at all. What can be made again isn't worth an error: it is logged. */
export async function writePrivateJson(
  file: string,
  value: Readonly<Record<string, unknown>>,
  log: Log,
): Promise<void> {
  try {
    await writePrivateFile(file, JSON.stringify({ ...value, digest: digestOf(value) }));
  } catch (error) {
    log.warn({ err: error, file }, 'a file of the cache could not be written');
  }
}

const digestOf = (value: Readonly<Record<string, unknown>>): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('base64url');
