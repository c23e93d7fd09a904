import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { runNpm } from '../../scripts/run-npm.mjs';
import { repositoryRoot } from './paths.ts';

const packed = z.tuple([z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) })]);

/** The packed package. */
export interface PackedPackage {
  readonly tarball: string;
  /** The files of the package. */
  readonly files: readonly string[];
  /** An environment with Node but nothing of this project, and without network. */
  readonly bare: Readonly<Record<string, string>>;
}

/** Packs the package into a folder, and installs it in `empty/` there. */
export async function installPacked(folder: string): Promise<PackedPackage> {
  const home = path.join(folder, 'home');
  const empty = path.join(folder, 'empty');
  await Promise.all([mkdir(home), mkdir(empty)]);
  const bare = {
    HOME: home,
    PATH: `${path.dirname(process.execPath)}${path.delimiter}/usr/bin${path.delimiter}/bin`,
    TMPDIR: folder,
    npm_config_cache: path.join(folder, 'npm-cache'),
    npm_config_offline: 'true',
  };
  const said = await runNpm(['pack', '--json', '--pack-destination', folder], { cwd: repositoryRoot });
  const [{ filename, files }] = packed.parse(JSON.parse(said));
  const tarball = path.join(folder, filename);
  await runNpm(['install', '--no-audit', '--no-fund', tarball], { cwd: empty, env: bare });
  return { tarball, files: files.map((file) => file.path), bare };
}
