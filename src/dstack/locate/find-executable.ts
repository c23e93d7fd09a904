import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';
import { candidatePlaces, foldersOnPath } from './candidate-paths.ts';
import { readInterpreter } from './read-interpreter.ts';
import type { Executable } from '../run/executable.ts';

export interface FindOptions {
  /** The operator's setting: a path, or a name on PATH. */
  readonly configured?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform?: NodeJS.Platform;
  readonly homeDir: string;
  readonly cwd?: string;
}

const INSTALL =
  'Install it with `uv tool install dstack -U` or `pip install dstack -U`, or set DSTACK_MCP_CLI to the path of the dstack executable.';

/**
 * Finds the dstack executable: the configured one, else the first on PATH and in the usual places.
 * @throws ToolError `cli-not-found` that says where it looked. A configured one that isn't there is never replaced by another.
 */
export async function findExecutable(options: FindOptions): Promise<Executable> {
  const { configured, env, homeDir, platform = process.platform, cwd = process.cwd() } = options;
  const places =
    configured === undefined
      ? candidatePlaces({ env, platform, homeDir, cwd })
      : configuredPlaces(configured, { env, platform, homeDir, cwd });
  const tried: string[] = [];
  for (const place of places) {
    for (const file of await expandFolder(place)) {
      tried.push(file);
      if (!(await isExecutable(file, platform))) continue;
      const interpreter = await readInterpreter(file, foldersOnPath({ env, platform }));
      return { path: file, ...(interpreter === undefined ? {} : { interpreter }), tried };
    }
    if (place.includes('*')) tried.push(place);
  }
  if (configured !== undefined) {
    throw new ToolError(
      'cli-not-found',
      `DSTACK_MCP_CLI is ${configured}, and there is no executable file: ${tried.join(', ')}.`,
      INSTALL,
    );
  }
  throw new ToolError('cli-not-found', `The dstack CLI was not found. Looked for: ${tried.join(', ')}.`, INSTALL);
}

function configuredPlaces(
  configured: string,
  { env, platform, homeDir, cwd }: Required<Omit<FindOptions, 'configured'>>,
): string[] {
  const expanded = configured.replace(/^~(?=$|[/\\])/, homeDir);
  if (expanded.includes('/') || expanded.includes('\\')) return [path.resolve(cwd, expanded)];
  const names =
    platform === 'win32' && path.extname(expanded) === ''
      ? ['.exe', '.cmd', '.bat'].map((ending) => expanded + ending)
      : [expanded];
  return foldersOnPath({ env, platform }).flatMap((folder) => names.map((name) => path.join(folder, name)));
}

/** The files that a place with a `*` for one folder name stands for, newest-looking name first. */
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
