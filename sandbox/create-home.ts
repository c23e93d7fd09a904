import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';

export interface HomeOptions {
  readonly home: string;
  readonly url: string;
  readonly token: string;
  readonly project: string;
  readonly binFolder: string;
}

export interface CliHome {
  readonly home: string;
  /** An empty folder for configurations. */
  readonly workspace: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Creates a home folder that configures the dstack CLI for one server, without update checks. */
export async function createHome(options: HomeOptions): Promise<CliHome> {
  const { home, url, token, project, binFolder } = options;
  const workspace = path.join(home, 'workspace');
  const temporary = path.join(home, 't');
  await Promise.all(
    [workspace, path.join(home, '.dstack'), temporary].map((folder) => mkdir(folder, { recursive: true })),
  );
  await skipUpdateCheck(home);
  const config = stringify({ projects: [{ name: project, url, token, default: true }] });
  await writeFile(path.join(home, '.dstack', 'config.yml'), config, { mode: 0o600 });
  return { home, workspace, env: createEnvironment({ home, binFolder, temporary }) };
}

/** Prevents the CLI's update check, which runs once a day. */
export async function skipUpdateCheck(home: string): Promise<void> {
  const folder = path.join(home, '.cache', '.dstack', 'cli');
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'last_check'), '');
}

/** Creates an environment with what the CLI needs, and none of the caller's settings, such as proxies. */
function createEnvironment({
  home,
  binFolder,
  temporary,
}: Record<'home' | 'binFolder' | 'temporary', string>): Record<string, string> {
  const inherited = ['SYSTEMROOT', 'COMSPEC', 'PATHEXT'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const searchPath = [binFolder, process.env['PATH'] ?? ''].join(path.delimiter);
  // A killed CLI leaves temporary files. Here they are removed with the sandbox.
  const temporaryFolders = { TMPDIR: temporary, TEMP: temporary, TMP: temporary };
  return {
    ...Object.fromEntries(inherited),
    ...temporaryFolders,
    HOME: home,
    USERPROFILE: home,
    PATH: searchPath,
    LANG: 'C.UTF-8',
  };
}
