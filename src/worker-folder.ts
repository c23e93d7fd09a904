import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder with the Python side: beside the bundle in a package, beside src/ in the source tree. */
export function workerFolder(): string {
  const besideBundle = fileURLToPath(new URL('./worker/', import.meta.url));
  return existsSync(besideBundle) ? besideBundle : fileURLToPath(new URL('../worker/', import.meta.url));
}
