import path from 'node:path';

/** Where a person's files are: the platform is a parameter, so that each can be tested on any. */
export interface Places {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The folder that the command was called in: a project's own configuration belongs there. */
  readonly cwd: string;
}

/** Names a client's file, in the way of writing of its platform. */
export type FindFile = (places: Places) => string;

/** A file in the project that the command was called in. */
export const inProject =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(places.cwd, ...names);

/** A file in the home folder, on every platform. */
export const inHome =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(places.home, ...names);

/** A file below a folder that a variable names, else below a folder of the home. */
export const inFolderOf =
  (variable: string, fallback: string, ...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(folderIn(places, variable) ?? pathsOf(places).join(places.home, fallback), ...names);

/** A file among the settings of desktop programs: Application Support, `%APPDATA%` or `$XDG_CONFIG_HOME`. */
export const inAppSettings =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(appSettings(places), ...names);

/** A file that has one place on Windows, below `%APPDATA%`, and another below `$XDG_CONFIG_HOME` on all others, macOS included. */
export const inConfigOrRoaming =
  (config: readonly string[], roaming: readonly string[]): FindFile =>
  (places) =>
    places.platform === 'win32'
      ? pathsOf(places).join(appSettings(places), ...roaming)
      : pathsOf(places).join(configFolder(places), ...config);

/** The path functions of a platform. */
export const pathsOf = ({ platform }: Pick<Places, 'platform'>): path.PlatformPath =>
  platform === 'win32' ? path.win32 : path.posix;

function appSettings(places: Places): string {
  const paths = pathsOf(places);
  if (places.platform === 'darwin') return paths.join(places.home, 'Library', 'Application Support');
  if (places.platform === 'win32') return folderIn(places, 'APPDATA') ?? paths.join(places.home, 'AppData', 'Roaming');
  return configFolder(places);
}

const configFolder = (places: Places): string =>
  folderIn(places, 'XDG_CONFIG_HOME') ?? pathsOf(places).join(places.home, '.config');

/** An absolute folder of the environment: what is empty or relative counts as not set. */
function folderIn(places: Places, variable: string): string | undefined {
  const folder = places.env[variable];
  return folder !== undefined && pathsOf(places).isAbsolute(folder) ? folder : undefined;
}
