import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder with the Python side of the warm worker. */
export const workerFolder = (): string => findFile('./worker/', '../../worker/') ?? missing('worker');

/** The folder with the skills for agents. */
export const skillsFolder = (): string => findFile('./skills/', '../../skills/') ?? missing('skills');

/** The built card; undefined if none was built. */
export const findCardFile = (): string | undefined => findFile('./card.html', '../../dist/card.html');

/** Finds a file next to the bundle (in a package) or at its place in the source tree. */
function findFile(besideBundle: string, inSourceTree: string): string | undefined {
  return [besideBundle, inSourceTree]
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((file) => existsSync(file));
}

function missing(name: string): never {
  throw new Error(`The folder ${name} is missing from this installation`);
}
