import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The built card: beside the bundle in a package, in dist/ from the source tree; undefined where none was built. */
export function findCardFile(): string | undefined {
  return ['./card.html', '../dist/card.html']
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((file) => existsSync(file));
}
