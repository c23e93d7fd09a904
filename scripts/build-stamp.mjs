// @ts-check
// The stamp in dist/ that tells which sources it was built from. The setup and the tests compare it. Without packages, like the setup.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = path.join(root, 'dist', '.stamp');

/** Returns the hash of everything that the build reads. */
export function hashBuildInputs() {
  return hashFiles([
    'package.json',
    'package-lock.json',
    'scripts/build.mjs',
    'scripts/describe-bundled.mjs',
    'scripts/find-missing.mjs',
    'scripts/lean-sdk.mjs',
    ...['src', 'tools', 'sandbox', 'ui', 'worker', 'skills'].flatMap(listFiles),
  ]);
}

/** Returns whether dist/ was built from the current sources. */
export function isBuildCurrent() {
  try {
    return readFileSync(stamp, 'utf8') === hashBuildInputs();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Writes the stamp into a new build.
 * @param {string} folder
 * @param {string} hash what `hashBuildInputs` returned before the build
 */
export function writeStamp(folder, hash) {
  writeFileSync(path.join(folder, path.basename(stamp)), hash);
}

/**
 * Returns one hash for the names and contents of files.
 * @param {readonly string[]} files
 * @param {string} [salt]
 */
export function hashFiles(files, salt = '') {
  const hash = createHash('sha256').update(salt);
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(path.join(root, file)));
  return hash.digest('hex');
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function listFiles(folder) {
  return readdirSync(path.join(root, folder), { recursive: true })
    .map((name) => path.join(folder, String(name)))
    .filter((name) => !name.includes('__pycache__') && statSync(path.join(root, name)).isFile())
    .sort();
}
