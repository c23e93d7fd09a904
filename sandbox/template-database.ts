import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

/** A migrated database to start from, and the administrator's token that lies in it. */
export interface Template {
  readonly token: string;
  /** Whether the database was there already; if not, `keepTemplate` wants to be called once the server has made it. */
  readonly isKept: boolean;
}

const BACKUP = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))';

/** Puts the kept database of this dstack version into the server's data folder, if there is one. */
export async function useTemplate(
  cacheFolder: string | undefined,
  version: string,
  dataFolder: string,
): Promise<Template> {
  await mkdir(dataFolder, { recursive: true });
  if (cacheFolder !== undefined) {
    const folder = nameTemplate(cacheFolder, version);
    try {
      const token = await readFile(path.join(folder, 'token'), 'utf8');
      await copyFile(path.join(folder, 'sqlite.db'), path.join(dataFolder, 'sqlite.db'));
      return { token, isKept: true };
    } catch {
      // Not there yet: an empty database takes some seconds longer.
    }
  }
  return { token: randomBytes(16).toString('hex'), isKept: false };
}

export interface KeepTemplateOptions {
  readonly cacheFolder: string;
  readonly version: string;
  readonly dataFolder: string;
  readonly token: string;
  readonly python: string;
}

/** Keeps a copy of a running server's fresh database for later starts; whoever else was faster is left alone. */
export async function keepTemplate(options: KeepTemplateOptions): Promise<void> {
  const { cacheFolder, version, dataFolder, token, python } = options;
  await mkdir(cacheFolder, { recursive: true });
  const draft = await mkdtemp(path.join(cacheFolder, 'draft-'));
  try {
    await execa(python, ['-c', BACKUP, path.join(dataFolder, 'sqlite.db'), path.join(draft, 'sqlite.db')]);
    await writeFile(path.join(draft, 'token'), token, { mode: 0o600 });
    await rename(draft, nameTemplate(cacheFolder, version));
  } catch {
    await rm(draft, { recursive: true, force: true });
  }
}

function nameTemplate(cacheFolder: string, version: string): string {
  return path.join(cacheFolder, `server-${version}-template-1`);
}
