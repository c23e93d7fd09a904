import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { SetupError } from './setup-error.ts';

/** The dstack installation in a Python environment. */
export interface InstalledDstack {
  readonly version: string;
  readonly python: string;
  readonly cli: string;
  readonly binFolder: string;
}

/** Finds dstack in a Python environment without starting it. @throws SetupError if it isn't installed there */
export async function findInstalledDstack(environment: string): Promise<InstalledDstack> {
  const windows = process.platform === 'win32';
  const binFolder = path.join(environment, windows ? 'Scripts' : 'bin');
  const ending = windows ? '.exe' : '';
  const version = await readVersion(environment);
  return {
    version,
    python: path.join(binFolder, `python${ending}`),
    cli: path.join(binFolder, `dstack${ending}`),
    binFolder,
  };
}

async function readVersion(environment: string): Promise<string> {
  for (const packages of await findPackageFolders(environment)) {
    const names = await readdir(packages).catch(() => []);
    for (const name of names) {
      const version = /^dstack-(.+)\.dist-info$/.exec(name)?.[1];
      if (version !== undefined) return version;
    }
  }
  throw new SetupError(
    `dstack is not installed in ${environment}.`,
    'Specify the folder of a Python environment that has dstack[server].',
  );
}

async function findPackageFolders(environment: string): Promise<string[]> {
  if (process.platform === 'win32') return [path.join(environment, 'Lib', 'site-packages')];
  const versions = await readdir(path.join(environment, 'lib')).catch(() => []);
  return versions.map((version) => path.join(environment, 'lib', version, 'site-packages'));
}
