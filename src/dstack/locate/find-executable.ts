import { constants } from 'node:fs';
import { access, open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';
import { candidatePaths, foldersOnPath } from './candidate-paths.ts';
import type { Executable } from '../run/runner.ts';

export interface FindOptions {
  /** DSTACK_MCP_CLI: a path, or a name on PATH. */
  readonly configured?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform?: NodeJS.Platform;
  readonly homeDir: string;
  readonly cwd?: string;
}

const INSTALL =
  'Install it with `uv tool install dstack -U` or `pip install dstack -U`, or set DSTACK_MCP_CLI to the path of the dstack executable.';

/**
 * Finds the dstack executable: the configured one, or the first on PATH or in the usual install locations.
 * @throws ToolError `cli-not-found` listing the places searched. A configured executable that is missing is never replaced by another.
 */
export async function findExecutable(options: FindOptions): Promise<Executable> {
  const { configured, env, homeDir, platform = process.platform, cwd = process.cwd() } = options;
  const places =
    configured === undefined
      ? candidatePaths({ env, platform, homeDir, cwd })
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
      `DSTACK_MCP_CLI is ${configured}, but there is no executable file at ${tried.join(', ')}.`,
      INSTALL,
    );
  }
  throw new ToolError('cli-not-found', `The dstack CLI was not found. Searched: ${tried.join(', ')}.`, INSTALL);
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

const PYTHON = /^(?:python|pypy)[\d.]*$/;
const FIRST_BYTES = 4096;

/**
 * Returns the Python interpreter named in the first lines of an entry script; undefined if the file isn't a Python script or the
 * interpreter is missing. Links aren't resolved: the python of a virtual environment is a link, and works because of its location.
 */
export async function readInterpreter(file: string, pathFolders: readonly string[]): Promise<string | undefined> {
  const named = interpreterNamedIn(await readStart(file).catch(() => ''));
  if (named === undefined || !PYTHON.test(path.basename(named))) return undefined;
  const places = path.isAbsolute(named) ? [named] : pathFolders.map((folder) => path.join(folder, named));
  for (const place of places) {
    const runs = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return place;
  }
  return undefined;
}

/** Parses the interpreter from a script: `#!/path/python`, `#!/usr/bin/env python3`, or the form that installers use for long paths. */
export function interpreterNamedIn(text: string): string | undefined {
  const [first = '', second = ''] = text.split(/\r?\n/, 2);
  const viaShell = /^'''exec' (?:"([^"]+)"|(\S+)) "\$0" "\$@"$/.exec(second);
  if (/^#! ?\/bin\/sh$/.test(first) && viaShell !== null) return viaShell[1] ?? viaShell[2];
  const viaEnv = /^#! ?\/usr\/bin\/env (?:-S )?([\w.]+)$/.exec(first);
  if (viaEnv !== null) return viaEnv[1];
  // Flags after the interpreter (`-I`) would be lost, so such a script is only run directly.
  return /^#! ?(\/\S+)$/.exec(first)?.[1];
}

async function readStart(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_BYTES), 0, FIRST_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
