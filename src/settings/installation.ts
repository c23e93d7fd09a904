import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { canAccess, isBelow } from '../core/paths.ts';
import { codeOf, ToolError } from '../core/errors.ts';
import manifest from '../../package.json' with { type: 'json' };
import { isLocked } from '../core/exclusive-lock.mjs';

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
  const file = findFile('../package.json', '../../package.json');
  const isClone = file !== undefined && !/[/\\]node_modules[/\\]/.test(file);
  return isClone ? `\`npm run sandbox\` in ${path.dirname(file)}` : '`npx -y dstack-mcp sandbox`';
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

export const VERSION: string = manifest.version;

/** Paths at which clients find the sandbox of this computer, the same each time it starts. */
export interface SandboxPlace {
  readonly folder: string;
  /** Held as long as the sandbox runs. */
  readonly lockFile: string;
  /** The CLI's home folder. It is removed with the sandbox. */
  readonly home: string;
  /** The folder of the dstack executable. */
  readonly binFolder: string;
  readonly cli: string;
  /** The folder with the example configurations. */
  readonly workspace: string;
  /** The state of the servers that use the sandbox. It outlives the sandbox, as the state folder outlives a server. */
  readonly stateDir: string;
}

export function sandboxPlace(stateDir: string): SandboxPlace {
  const folder = path.join(stateDir, 'sandbox');
  const home = path.join(folder, 'home');
  const binFolder = path.join(home, 'bin');
  return {
    folder,
    lockFile: path.join(folder, 'running.lock'),
    home,
    binFolder,
    cli: path.join(binFolder, process.platform === 'win32' ? 'dstack.exe' : 'dstack'),
    workspace: path.join(home, 'workspace'),
    stateDir: path.join(folder, 'state'),
  };
}

/** Returns an environment in which dstack uses the sandbox: its home folder, and none of the caller's own servers and proxies. */
export function sandboxEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  { home, binFolder }: SandboxPlace,
): Record<string, string | undefined> {
  const others = Object.entries(env).filter(([name]) => !/^(?:DSTACK_(?!MCP_)\w+|(?:HTTPS?|ALL)_PROXY)$/i.test(name));
  return {
    ...Object.fromEntries(others),
    HOME: home,
    USERPROFILE: home,
    PATH: [binFolder, env['PATH'] ?? ''].join(path.delimiter),
  };
}

/** @throws ToolError `sandbox-ended` if the sandbox doesn't run, or isn't ready yet */
export async function assertSandboxRuns({ lockFile, home }: SandboxPlace): Promise<void> {
  // Written once its server is ready. A sandbox that was killed may have left it behind.
  const isConfigured = await canAccess(path.join(home, '.dstack', 'config.yml'));
  if (isConfigured && (await isLocked(lockFile))) return;
  throw new ToolError(
    'sandbox-ended',
    "This sandbox has ended, or isn't ready yet. Nothing was run.",
    `Run ${sandboxCommand()} and keep it running, then try again.`,
  );
}
