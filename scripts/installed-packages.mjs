// @ts-check
// Plain JavaScript without dependencies, because it runs before any are installed.
import { readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Returns whether npm has installed exactly what `package-lock.json` lists, as after `npm ci` by hand: npm writes another lockfile
 * into `node_modules` at the end of an installation. Packages for other platforms may be missing.
 * @param {string} root
 */
export function hasInstalledPackages(root) {
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  const found = readPackages(path.join(root, 'node_modules', '.package-lock.json'));
  if (wanted === undefined || found === undefined) return false;
  return Object.entries(wanted).every(([name, { version, optional }]) => {
    const installed = found[name];
    return name === '' || (installed === undefined ? optional === true : installed.version === version);
  });
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }> | undefined}
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}
