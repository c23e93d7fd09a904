import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Log } from '../log.ts';

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
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    const text = JSON.stringify({ ...value, digest: digestOf(value) });
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx' });
    await rename(temporary, file);
  } catch (error) {
    log.warn({ err: error, file }, 'a file of the cache could not be written');
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

const digestOf = (value: Readonly<Record<string, unknown>>): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('base64url');
