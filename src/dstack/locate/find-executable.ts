import { constants, realpathSync } from 'node:fs';
import { access, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';
import { containsPath, expandHome } from '../../core/paths.ts';
import { sandboxCommand } from '../../settings/installation.ts';
import type { Executable } from '../run/runner.ts';
import { SEARCH_PATHS } from '../run/spawn-dstack.ts';
import { resolveScript } from './resolve-script.ts';
import type { Resolution } from './resolve-script.ts';

interface FindOptions {
  /** DSTACK_MCP_CLI: a path, or a name on PATH. */
  readonly configured?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform?: NodeJS.Platform;
  readonly homeDir: string;
  readonly cwd?: string;
  /** The folders of the workspace. Nothing in them is run, nor in the working directory, unless `configured` is its path. */
  readonly workspace?: readonly string[];
}

/** The executable, and those that were not used because of where they are. */
export interface FoundExecutable extends Executable {
  /** Executables in the workspace or the working directory, where anyone who writes files could put one. */
  readonly passedOver: readonly string[];
}

const INSTALL = `Install it with \`uv tool install dstack -U\` or \`pip install dstack -U\`, or set DSTACK_MCP_CLI to the path of the dstack executable. To try this server without dstack and an account, run ${sandboxCommand()}.`;

/**
 * Finds the dstack executable: the configured one, or the first on PATH or in the usual install locations.
 * @throws ToolError `cli-not-found` listing the places searched. A configured executable that is missing is never replaced by another.
 */
export async function findExecutable(options: FindOptions): Promise<FoundExecutable> {
  const { configured, env, homeDir, platform = process.platform, cwd = process.cwd(), workspace = [] } = options;
  const places =
    configured === undefined
      ? candidatePaths({ env, platform, homeDir })
      : configuredPlaces(configured, { env, platform, homeDir, cwd });
  const writable = foldersOfProjects([cwd, ...workspace], homeDir);
  const tried: string[] = [];
  const passedOver: string[] = [];
  for (const place of places) {
    for (const file of await expandFolder(place)) {
      tried.push(file);
      if (!(await isExecutable(file, platform))) continue;
      const isChosen = isPath(configured);
      if (!isChosen && (await isInside(file, writable))) {
        passedOver.push(file);
        continue;
      }
      const pathFolders = await outside(foldersOnPath({ env, platform }), writable);
      const resolution = await resolveScript(file, { env, homeDir, platform, pathFolders });
      // A wrapper that leads into the workspace would run what is there.
      if (!isChosen && (await leadsInto(resolution, writable))) {
        passedOver.push(file);
        continue;
      }
      return { ...describe(file, resolution), tried, passedOver };
    }
    if (place.includes('*')) tried.push(place);
  }
  for (const file of writable.flatMap((folder) => projectPaths(folder, platform)))
    if (!passedOver.includes(file) && (await isExecutable(file, platform))) passedOver.push(file);
  throw notFound(configured, tried, passedOver);
}

async function leadsInto(resolution: Resolution, folders: readonly string[]): Promise<boolean> {
  if (resolution.kind === 'unresolved') return false;
  return (
    (await isInside(resolution.script, folders)) || (await isInside(path.dirname(resolution.interpreter), folders))
  );
}

function describe(
  file: string,
  resolution: Resolution,
): Pick<Executable, 'path' | 'interpreter' | 'wrapper' | 'notPython'> {
  if (resolution.kind === 'unresolved') return { path: file, notPython: resolution.why };
  const { script, interpreter, env } = resolution;
  const wrapper = script === file ? {} : { wrapper: { path: file, env } };
  return { path: script, interpreter, ...wrapper };
}

function notFound(configured: string | undefined, tried: readonly string[], passedOver: readonly string[]): ToolError {
  const message =
    configured === undefined
      ? `The dstack CLI was not found on PATH or in the ${tried.length} places where installers put it.`
      : `DSTACK_MCP_CLI is ${configured}, but there is no executable file at ${tried.join(', ')}.`;
  const [first] = passedOver;
  if (first === undefined) return new ToolError('cli-not-found', message, INSTALL);
  return new ToolError(
    'cli-not-found',
    `${message} Not used, because it is in the workspace or the working directory: ${passedOver.join(', ')}.`,
    `If the user trusts it, they can set DSTACK_MCP_CLI to ${first}. Otherwise: ${INSTALL}`,
  );
}

const isPath = (configured: string | undefined): boolean => configured !== undefined && /[/\\]/.test(configured);

/**
 * Returns the folders in which nothing is run, as written and with links resolved. A folder that contains the home folder isn't one
 * of them: desktop apps start servers in the home folder or at the root, above every installation.
 */
function foldersOfProjects(folders: readonly string[], homeDir: string): string[] {
  const both = new Set(folders.flatMap((folder) => [folder, withoutLinks(folder)]));
  return [...both].filter((folder) => !containsPath(folder, withoutLinks(homeDir)) && !containsPath(folder, homeDir));
}

function withoutLinks(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

/**
 * Returns the environment without the folders of the workspace and the working directory in its search paths: dstack starts git, ssh and
 * editors by their names. npx puts a project's own `node_modules/.bin` first, and Windows looks into the working directory before that.
 */
export function withoutProjects<T extends string | undefined>(
  env: Readonly<Record<string, T>>,
  options: Pick<FindOptions, 'homeDir' | 'cwd' | 'workspace' | 'platform'>,
): Record<string, T | string> {
  const { homeDir, cwd = process.cwd(), workspace = [], platform = process.platform } = options;
  const writable = foldersOfProjects([cwd, ...workspace], homeDir);
  const isOutside = (folder: string): boolean =>
    !writable.some((one) => containsPath(one, folder) || containsPath(one, withoutLinks(folder)));
  const searched = Object.entries(env).map(([name, value]) => [
    name,
    value !== undefined && SEARCH_PATHS.test(name)
      ? value.split(path.delimiter).filter(isOutside).join(path.delimiter)
      : value,
  ]);
  const inPathOnly = platform === 'win32' ? { NoDefaultCurrentDirectoryInExePath: '1' } : {};
  return { ...Object.fromEntries(searched), ...inPathOnly };
}

/** Whether a file or folder is in one of the folders, as written or with links resolved. */
async function isInside(folder: string, folders: readonly string[]): Promise<boolean> {
  const real = await realpath(folder).catch(() => folder);
  return folders.some((one) => containsPath(one, folder) || containsPath(one, real));
}

async function outside(wanted: readonly string[], folders: readonly string[]): Promise<string[]> {
  const inside = await Promise.all(wanted.map((folder) => isInside(folder, folders)));
  return wanted.filter((_, at) => inside[at] === false);
}

function configuredPlaces(
  configured: string,
  { env, platform, homeDir, cwd }: Required<Omit<FindOptions, 'configured' | 'workspace'>>,
): string[] {
  const expanded = expandHome(configured, homeDir);
  if (expanded.includes('/') || expanded.includes('\\')) return [path.resolve(cwd, expanded)];
  const names =
    platform === 'win32' && path.extname(expanded) === ''
      ? ['.exe', '.cmd', '.bat'].map((ending) => expanded + ending)
      : [expanded];
  return foldersOnPath({ env, platform }).flatMap((folder) => names.map((name) => path.join(folder, name)));
}

/** Expands a `*` that stands for one folder name, highest version first. */
async function expandFolder(place: string): Promise<string[]> {
  const star = place.split(/[/\\]\*[/\\]/);
  const [before, after] = star;
  if (before === undefined || after === undefined) return [place];
  const names = await readdir(before).catch(() => []);
  const newestFirst = names.toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  return newestFirst.map((name) => path.join(before, name, after));
}

async function isExecutable(file: string, platform: NodeJS.Platform): Promise<boolean> {
  try {
    await access(file, platform === 'win32' ? constants.F_OK : constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

interface PlacesOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly homeDir: string;
}

/**
 * Returns the files that may be the dstack executable, in the order to try them: PATH, then where common installers put it. A `*`
 * stands for one folder name.
 */
export function candidatePaths(options: PlacesOptions): string[] {
  const paths = options.platform === 'win32' ? path.win32 : path.posix;
  const folders = [
    ...foldersOnPath(options),
    ...(options.platform === 'win32' ? windowsFolders(options) : unixFolders(options)),
  ];
  const names = options.platform === 'win32' ? ['dstack.exe', 'dstack.cmd', 'dstack.bat'] : ['dstack'];
  const files = folders.flatMap((folder) => names.map((name) => paths.join(folder, name)));
  return [...new Set(files)];
}

/** Returns the absolute entries of PATH: an empty or relative one means the working directory. */
function foldersOnPath({ env, platform }: Pick<PlacesOptions, 'env' | 'platform'>): string[] {
  const paths = platform === 'win32' ? path.win32 : path.posix;
  // Names of variables are case-insensitive on Windows, where this one is usually `Path`.
  const value =
    Object.entries(env).find(([name]) => (platform === 'win32' ? name.toUpperCase() : name) === 'PATH')?.[1] ?? '';
  return value.split(paths.delimiter).filter((folder) => paths.isAbsolute(folder));
}

/** Returns where a project usually keeps the executables of its virtual environment. */
function projectPaths(folder: string, platform: NodeJS.Platform): string[] {
  const files = platform === 'win32' ? ['Scripts/dstack.exe'] : ['bin/dstack'];
  return ['.venv', 'venv'].flatMap((name) => files.map((file) => path.join(folder, name, file)));
}

const CONDA_FOLDERS = ['miniconda3', 'anaconda3', 'miniforge3', 'mambaforge'];

function unixFolders({ env, platform, homeDir }: PlacesOptions): string[] {
  const inHome = (...parts: string[]): string => path.posix.join(homeDir, ...parts);
  const data = env['XDG_DATA_HOME'] ?? inHome('.local/share');
  const pyenv = env['PYENV_ROOT'] ?? inHome('.pyenv');
  const mac = platform === 'darwin';
  return present([
    // uv tool, pip --user, pipx
    env['UV_TOOL_BIN_DIR'],
    env['XDG_BIN_HOME'],
    env['PIPX_BIN_DIR'],
    inHome('.local/bin'),
    `${env['UV_TOOL_DIR'] ?? `${data}/uv/tools`}/dstack/bin`,
    env['PIPX_HOME'] === undefined ? undefined : `${env['PIPX_HOME']}/venvs/dstack/bin`,
    `${data}/pipx/venvs/dstack/bin`,
    inHome('.local/pipx/venvs/dstack/bin'),
    ...(mac ? [inHome('Library/Application Support/pipx/venvs/dstack/bin'), inHome('Library/Python/*/bin')] : []),
    // Homebrew and system-wide installs
    ...(mac ? ['/opt/homebrew/bin'] : ['/home/linuxbrew/.linuxbrew/bin', inHome('.linuxbrew/bin')]),
    '/usr/local/bin',
    '/usr/bin',
    ...(mac ? ['/Library/Frameworks/Python.framework/Versions/*/bin'] : []),
    // conda
    env['CONDA_PREFIX'] === undefined ? undefined : `${env['CONDA_PREFIX']}/bin`,
    ...CONDA_FOLDERS.flatMap((name) => [inHome(name, 'bin'), inHome(name, 'envs/*/bin')]),
    '/opt/conda/bin',
    ...(mac ? ['/opt/homebrew/Caskroom/miniconda/base/bin'] : []),
    // pyenv: versions before shims, which need pyenv itself on PATH
    `${pyenv}/versions/*/bin`,
    `${pyenv}/shims`,
    env['VIRTUAL_ENV'] === undefined ? undefined : `${env['VIRTUAL_ENV']}/bin`,
  ]);
}

function windowsFolders({ env, homeDir }: PlacesOptions): string[] {
  const inHome = (...parts: string[]): string => path.win32.join(homeDir, ...parts);
  const roaming = env['APPDATA'] ?? inHome('AppData', 'Roaming');
  const local = env['LOCALAPPDATA'] ?? inHome('AppData', 'Local');
  const pyenv = env['PYENV_ROOT'] ?? inHome('.pyenv', 'pyenv-win');
  const join = (...parts: string[]): string => path.win32.join(...parts);
  return present([
    env['UV_TOOL_BIN_DIR'],
    env['XDG_BIN_HOME'],
    env['PIPX_BIN_DIR'],
    inHome('.local', 'bin'),
    join(env['UV_TOOL_DIR'] ?? join(roaming, 'uv', 'tools'), 'dstack', 'Scripts'),
    env['PIPX_HOME'] === undefined ? undefined : join(env['PIPX_HOME'], 'venvs', 'dstack', 'Scripts'),
    inHome('pipx', 'venvs', 'dstack', 'Scripts'),
    join(local, 'pipx', 'pipx', 'venvs', 'dstack', 'Scripts'),
    join(roaming, 'Python', '*', 'Scripts'),
    join(local, 'Programs', 'Python', '*', 'Scripts'),
    env['CONDA_PREFIX'] === undefined ? undefined : join(env['CONDA_PREFIX'], 'Scripts'),
    ...CONDA_FOLDERS.flatMap((name) => [inHome(name, 'Scripts'), inHome(name, 'envs', '*', 'Scripts')]),
    join(pyenv, 'versions', '*', 'Scripts'),
    join(pyenv, 'shims'),
    env['VIRTUAL_ENV'] === undefined ? undefined : join(env['VIRTUAL_ENV'], 'Scripts'),
  ]);
}

const present = (folders: readonly (string | undefined)[]): string[] =>
  folders.filter((folder): folder is string => folder !== undefined && folder !== '');
