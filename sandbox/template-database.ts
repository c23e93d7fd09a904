import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

/** The administrator's token of the server's database. */
export interface Template {
  readonly token: string;
  /** Whether the database came from the cache. If not, call `saveTemplate` once the server has created it. */
  readonly isCached: boolean;
}

const BACKUP = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))';

/** Copies the cached database of this dstack version to the server's data folder, if there is one. */
export async function restoreTemplate(
  cacheFolder: string | undefined,
  version: string,
  dataFolder: string,
): Promise<Template> {
  await mkdir(dataFolder, { recursive: true });
  if (cacheFolder !== undefined) {
    const folder = templateFolder(cacheFolder, version);
    try {
      const token = await readFile(path.join(folder, 'token'), 'utf8');
      await copyFile(path.join(folder, 'sqlite.db'), path.join(dataFolder, 'sqlite.db'));
      return { token, isCached: true };
    } catch {
      // Not cached yet: migrating an empty database takes a few seconds longer.
    }
  }
  return { token: randomBytes(16).toString('hex'), isCached: false };
}

export interface SaveTemplateOptions {
  readonly cacheFolder: string;
  readonly version: string;
  readonly dataFolder: string;
  readonly token: string;
  readonly python: string;
}

/** Caches a copy of a running server's new database. Keeps a copy that another process has already cached. */
export async function saveTemplate(options: SaveTemplateOptions): Promise<void> {
  const { cacheFolder, version, dataFolder, token, python } = options;
  await mkdir(cacheFolder, { recursive: true });
  const draft = await mkdtemp(path.join(cacheFolder, 'draft-'));
  try {
    await execa(python, ['-c', BACKUP, path.join(dataFolder, 'sqlite.db'), path.join(draft, 'sqlite.db')]);
    await writeFile(path.join(draft, 'token'), token, { mode: 0o600 });
    await rename(draft, templateFolder(cacheFolder, version));
  } catch {
    await rm(draft, { recursive: true, force: true });
  }
}

function templateFolder(cacheFolder: string, version: string): string {
  return path.join(cacheFolder, `server-${version}-template-1`);
}
