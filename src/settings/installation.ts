import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { isBelow } from '../core/paths.ts';
import { codeOf } from '../core/errors.ts';
import manifest from '../../package.json' with { type: 'json' };

/** Returns the folder with the Python side of the warm worker. */
export const workerFolder = (): string => findFile('./worker/', '../../worker/') ?? missing('worker');

/** Returns the folder with the skills for agents. */
export const skillsFolder = (): string => findFile('./skills/', '../../skills/') ?? missing('skills');

/** Returns the built card; undefined if none was built. */
export const findCardFile = (): string | undefined => findFile('./card.html', '../../dist/card.html');

/** Returns the folder for what the sandbox installs: `.cache` in a clone, otherwise the user's cache folder. */
export const cacheFolder = (): string =>
  findFile('../.cache', '../../.cache') ?? envPaths('dstack-mcp', { suffix: '' }).cache;

/** Returns the command that starts this program, as it works from a folder: in a clone there is no `dstack-mcp` on the PATH. */
export function programCommand(file: string, cwd = process.cwd()): string {
  if (/[/\\]_npx[/\\]/.test(file)) return 'npx -y dstack-mcp';
  if (/[/\\]node_modules[/\\]/.test(file)) return 'dstack-mcp';
  return `node ${isBelow(cwd, file) ? path.relative(cwd, file) : file}`;
}

/** Returns the command that starts the sandbox, as this server was installed. */
export function sandboxCommand(): string {
  const manifest = findFile('../package.json', '../../package.json');
  const isClone = manifest !== undefined && !/[/\\]node_modules[/\\]/.test(manifest);
  return isClone ? `\`npm run sandbox\` in ${path.dirname(manifest)}` : '`npx -y dstack-mcp sandbox`';
}

/** Finds a file next to the bundle (in a package) or in the source tree. */
function findFile(nextToBundle: string, inSourceTree: string): string | undefined {
  return [nextToBundle, inSourceTree]
    .map((file) => fileURLToPath(new URL(file, import.meta.url)))
    .find((file) => existsSync(file));
}

function missing(name: string): never {
  throw new Error(`The folder ${name} is missing from this installation`);
}

/** Returns the text of a setting, if it is set: Claude Desktop passes an unset field as an empty string or as its placeholder. */
export function givenText(text: unknown): string | undefined {
  return typeof text !== 'string' || text.trim() === '' || /^\$\{.*\}$/.test(text) ? undefined : text;
}

/** Returns the folder for everything that outlives a process. Defaults to the platform's state directory. */
export function stateFolder(text: string | undefined): string {
  return path.resolve(text ?? envPaths('dstack-mcp', { suffix: '' }).log);
}

/** Returns the folder with a record for each attachment. */
export const attachmentsFolder = (stateDir: string): string => path.join(stateDir, 'attachments');

/** Returns whether there may be attachments, perhaps of a server that was killed. */
export function hasAttachments(stateDir: string): boolean {
  try {
    return readdirSync(attachmentsFolder(stateDir)).length > 0;
  } catch (error) {
    return codeOf(error) !== 'ENOENT';
  }
}

/** The version of this server. */
export const VERSION: string = manifest.version;
