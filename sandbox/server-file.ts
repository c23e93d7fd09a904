import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SetupError } from './setup-error.ts';

/** Returns the path of a file of `server/`, next to the source or next to the bundle. @throws SetupError if it is missing */
export function findServerFile(name: string): string {
  const candidates = [`./server/${name}`, `../sandbox/server/${name}`];
  const found = candidates.map((candidate) => fileURLToPath(new URL(candidate, import.meta.url))).find(existsSync);
  if (found === undefined) throw new SetupError(`server/${name} is missing.`, 'Rebuild or reinstall the package.');
  return found;
}
