import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { hasInstalledPackages } from '../../../scripts/installed-packages.mjs';
import { repositoryRoot } from '../../support/paths.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const LOCK = {
  '': { version: '0.1.0' },
  'node_modules/a': { version: '1.0.0' },
  'node_modules/a-darwin': { version: '1.0.0', optional: true },
};

/** Creates a folder with a lockfile, and npm's own one if an installation has ended. */
function folderWith(installed: Readonly<Record<string, object>> | undefined): string {
  const folder = emptyFolder();
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify({ packages: LOCK }));
  mkdirSync(path.join(folder, 'node_modules'));
  if (installed !== undefined)
    writeFileSync(path.join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: installed }));
  return folder;
}

test.each<[boolean, string, Readonly<Record<string, object>> | undefined]>([
  [true, 'npm installed them by hand, without those of other platforms', { 'node_modules/a': { version: '1.0.0' } }],
  [false, 'a version differs', { 'node_modules/a': { version: '0.9.0' } }],
  [false, 'a package is missing', { 'node_modules/a-darwin': { version: '1.0.0' } }],
  [false, 'the installation was interrupted', undefined],
])('the packages are installed: %s, if %s', (expected, _when, installed) => {
  expect(hasInstalledPackages(folderWith(installed))).toBe(expected);
});

test('npm has installed the packages of this clone', () => {
  expect(hasInstalledPackages(repositoryRoot)).toBe(true);
});
