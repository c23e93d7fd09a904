import path from 'node:path';

export interface PlacesOptions {
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
export function foldersOnPath({ env, platform }: Pick<PlacesOptions, 'env' | 'platform'>): string[] {
  const paths = platform === 'win32' ? path.win32 : path.posix;
  // Names of variables are case-insensitive on Windows, where this one is usually `Path`.
  const value =
    Object.entries(env).find(([name]) => (platform === 'win32' ? name.toUpperCase() : name) === 'PATH')?.[1] ?? '';
  return value.split(paths.delimiter).filter((folder) => paths.isAbsolute(folder));
}

/** Returns where a project usually keeps the executables of its virtual environment. */
export function projectPaths(folder: string, platform: NodeJS.Platform): string[] {
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
