import path from 'node:path';

/** The folders that clients' files are found from. The platform is a parameter, so that each can be tested on any. */
export interface Places {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The working directory, for a project's own configuration. */
  readonly cwd: string;
}

/** Returns the path of a client's file. */
export type FindFile = (places: Places) => string;

/** A file in the working directory. */
export const inProject =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(places.cwd, ...names);

/** A file in the home folder, on every platform. */
export const inHome =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(places.home, ...names);

/** A file below the folder named by a variable, or else below a folder in the home folder. */
export const inFolderOf =
  (variable: string, fallback: string, ...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(folderIn(places, variable) ?? pathsOf(places).join(places.home, fallback), ...names);

/** A file in the settings folder of desktop programs: Application Support, `%APPDATA%` or `$XDG_CONFIG_HOME`. */
export const inAppSettings =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(appSettings(places), ...names);

/** A file below `%APPDATA%` on Windows, and below `$XDG_CONFIG_HOME` everywhere else, macOS included. */
export const inConfigOrRoaming =
  (config: readonly string[], roaming: readonly string[]): FindFile =>
  (places) =>
    places.platform === 'win32'
      ? pathsOf(places).join(appSettings(places), ...roaming)
      : pathsOf(places).join(configFolder(places), ...config);

/** A file below `$XDG_CONFIG_HOME`, or else `~/.config`, on every platform. */
export const inConfigFolder =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(configFolder(places), ...names);

/** Returns the path functions of a platform. */
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

/** Returns an absolute folder from the environment; an empty or relative one counts as not set. */
function folderIn(places: Places, variable: string): string | undefined {
  const folder = places.env[variable];
  return folder !== undefined && pathsOf(places).isAbsolute(folder) ? folder : undefined;
}
