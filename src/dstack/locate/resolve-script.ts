import { open, readFile, readdir, readlink, realpath } from 'node:fs/promises';
import { constants } from 'node:fs';
import path from 'node:path';
import { canAccess, isFile } from '../../core/paths.ts';
import { readLauncher } from './read-launcher.ts';
import { isPython, readWrapper } from './read-wrapper.ts';

/** The Python script that an executable leads to. */
export type Resolution =
  | {
      readonly kind: 'script';
      readonly script: string;
      readonly interpreter: string;
      /** Variables that a wrapper sets. */
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'unresolved'; readonly why: string };

export interface ResolveOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  /** The folders in which an interpreter that is only named is looked up. */
  readonly pathFolders: readonly string[];
}

const unresolved = (why: string): Resolution => ({ kind: 'unresolved', why });

/** Wrappers of wrappers end somewhere. */
const MAX_DEPTH = 4;

/**
 * Finds the Python script and the interpreter that an executable leads to: an entry script, a launcher of Windows, a shim of pyenv, asdf
 * or mise, or a shell script that ends in `exec`. Files are only read: nothing is run.
 */
export async function resolveScript(file: string, options: ResolveOptions, depth = 1): Promise<Resolution> {
  if (depth > MAX_DEPTH) return unresolved('its wrappers lead to each other');
  if (await isMiseShim(file)) return fromInstalled(await miseInstalls(options), 'mise', options, depth);
  if (options.platform === 'win32' && path.extname(file).toLowerCase() === '.exe') return fromLauncher(file);
  const wrapper = readWrapper(await readStart(file).catch(() => ''), { ...options.env, HOME: options.homeDir });
  if (wrapper.kind === 'other') return unresolved(wrapper.why);
  if (wrapper.kind === 'shim') {
    const installs = wrapper.tool === 'pyenv' ? await pyenvInstalls(options) : asdfInstalls(wrapper.versions, options);
    return fromInstalled(installs, wrapper.tool, options, depth);
  }
  if (wrapper.kind === 'exec') return fromExec(wrapper.argv, wrapper.env, options, depth);
  const interpreter = await findInterpreter(wrapper.interpreter, options);
  if (interpreter === undefined) return unresolved(`its interpreter ${wrapper.interpreter} was not found`);
  return { kind: 'script', script: file, interpreter, env: {} };
}

async function fromExec(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  options: ResolveOptions,
  depth: number,
): Promise<Resolution> {
  const [program = '', script, ...more] = argv;
  if (isPython(program) && script !== undefined && path.isAbsolute(script) && more.length === 0)
    return (await isFile(program)) && (await isFile(script))
      ? { kind: 'script', script, interpreter: program, env }
      : unresolved('its interpreter or script was not found');
  if (argv.length > 1) return unresolved('it is a shell script that adds arguments');
  const inner = await resolveScript(program, options, depth + 1);
  return inner.kind === 'script' ? { ...inner, env: { ...env, ...inner.env } } : inner;
}

/** Resolves the first installed dstack of those that a version manager chooses among. */
async function fromInstalled(
  files: readonly string[],
  tool: string,
  options: ResolveOptions,
  depth: number,
): Promise<Resolution> {
  for (const file of files) if (await isFile(file)) return resolveScript(file, options, depth + 1);
  return unresolved(`it is a shim of ${tool}, and no version that ${tool} is set to has dstack`);
}

const isVersion = (word: string): boolean => /^[\w][\w.+-]*$/.test(word);

/** The dstack of each version that pyenv is set to. A file in the working directory doesn't decide what is run. */
async function pyenvInstalls({ env, homeDir }: ResolveOptions): Promise<string[]> {
  const root = env['PYENV_ROOT'] ?? path.join(homeDir, '.pyenv');
  const text = env['PYENV_VERSION'] ?? (await readFile(path.join(root, 'version'), 'utf8').catch(() => ''));
  const versions = text.split(/[\s:]+/).filter(isVersion);
  return versions.map((version) => path.join(root, 'versions', version, 'bin', 'dstack'));
}

/** The dstack of the versions that the shim of asdf lists; of several, only that which the environment chooses. */
function asdfInstalls(listed: readonly string[], { env, homeDir }: ResolveOptions): string[] {
  const root = env['ASDF_DATA_DIR'] ?? path.join(homeDir, '.asdf');
  const chosen = env['ASDF_PYTHON_VERSION'];
  const versions = listed.filter(
    (version) => isVersion(version) && (chosen === undefined ? listed.length === 1 : version === chosen),
  );
  return versions.map((version) => path.join(root, 'installs', 'python', version, 'bin', 'dstack'));
}

const isMiseShim = async (file: string): Promise<boolean> =>
  path.basename(await readlink(file).catch(() => '')) === 'mise';

/** The only dstack that mise has installed. Of several, its configuration would decide. */
async function miseInstalls({ env, homeDir }: ResolveOptions): Promise<string[]> {
  const data = env['XDG_DATA_HOME'] ?? path.join(homeDir, '.local', 'share');
  const root = path.join(env['MISE_DATA_DIR'] ?? path.join(data, 'mise'), 'installs');
  const found = new Set<string>();
  for (const tool of ['pipx-dstack', 'python'])
    for (const version of await readdir(path.join(root, tool)).catch(() => [])) {
      const file = path.join(root, tool, version, 'bin', 'dstack');
      if (await isFile(file)) found.add(await realpath(file));
    }
  return found.size === 1 ? [...found] : [];
}

async function fromLauncher(file: string): Promise<Resolution> {
  const interpreter = readLauncher(await readFile(file).catch(() => Buffer.alloc(0)));
  if (interpreter === undefined) return unresolved('it is a program, not a launcher of a Python script');
  if (!(await isFile(interpreter))) return unresolved(`its interpreter ${interpreter} was not found`);
  return { kind: 'script', script: file, interpreter, env: {} };
}

/** Links aren't resolved: the python of a virtual environment is a link, and works because of its location. */
async function findInterpreter(named: string, { pathFolders }: ResolveOptions): Promise<string | undefined> {
  const places = path.isAbsolute(named) ? [named] : pathFolders.map((folder) => path.join(folder, named));
  for (const place of places) if (await canAccess(place, constants.X_OK)) return place;
  return undefined;
}

const FIRST_BYTES = 4096;

async function readStart(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_BYTES), 0, FIRST_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
