import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Returns the folder with the Python side of the warm worker. */
export const workerFolder = (): string => findFile('./worker/', '../../worker/') ?? missing('worker');

/** Returns the folder with the skills for agents. */
export const skillsFolder = (): string => findFile('./skills/', '../../skills/') ?? missing('skills');

/** Returns the built card; undefined if none was built. */
export const findCardFile = (): string | undefined => findFile('./card.html', '../../dist/card.html');

/** Finds a file next to the bundle (in a package) or in the source tree. */
function findFile(nextToBundle: string, inSourceTree: string): string | undefined {
  return [nextToBundle, inSourceTree]
    .map((file) => fileURLToPath(new URL(file, import.meta.url)))
    .find((file) => existsSync(file));
}

function missing(name: string): never {
  throw new Error(`The folder ${name} is missing from this installation`);
}
