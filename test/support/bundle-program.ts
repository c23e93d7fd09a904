import { rename } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { repositoryRoot } from './paths.ts';

/** Bundles a program of the fixtures, and returns its path: with its sources, each start takes most of a second. */
export async function bundleProgram(source: string): Promise<string> {
  // As deep in the repository as this folder, so that the program finds the same files and packages.
  const program = path.join(repositoryRoot, '.cache', 'programs', `${path.basename(source, '.ts')}.mjs`);
  const outfile = `${program}.${process.pid}`;
  await build({ entryPoints: [source], outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' });
  await rename(outfile, program);
  return program;
}
