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

/** Makes a home folder from which the dstack CLI talks to one server and asks no other. */
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

/** dstack asks for updates unless it did so today. */
export async function skipUpdateCheck(home: string): Promise<void> {
  const folder = path.join(home, '.cache', '.dstack', 'cli');
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'last_check'), '');
}

/** Everything a CLI needs and nothing of the caller's settings, proxies among them. */
function createEnvironment({
  home,
  binFolder,
  temporary,
}: Record<'home' | 'binFolder' | 'temporary', string>): Record<string, string> {
  const kept = ['SYSTEMROOT', 'COMSPEC', 'PATHEXT'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const searchPath = [binFolder, process.env['PATH'] ?? ''].join(path.delimiter);
  // A CLI that is killed leaves its temporary files: they go away with the sandbox.
  const temporaryFolders = { TMPDIR: temporary, TEMP: temporary, TMP: temporary };
  return {
    ...Object.fromEntries(kept),
    ...temporaryFolders,
    HOME: home,
    USERPROFILE: home,
    PATH: searchPath,
    LANG: 'C.UTF-8',
  };
}
