import { constants } from 'node:fs';
import { open, readFile, readdir, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { canAccess, isFile } from '../../core/paths.ts';

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

interface ResolveOptions {
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

const END_OF_DIRECTORY = Buffer.from('PK\u0005\u0006', 'latin1');
const UV_MAGIC = Buffer.from('UVSC');

/**
 * Returns the interpreter in a launcher of Windows (`dstack.exe`): a program with a zip archive at its end, which contains the script
 * and which Python runs. Undefined if the file isn't one.
 */
export function readLauncher(file: Buffer): string | undefined {
  const interpreter = readUvLauncher(file) ?? readShebang(file);
  return interpreter !== undefined && path.win32.isAbsolute(interpreter) && /pythonw?[\d.]*\.exe$/i.test(interpreter)
    ? interpreter
    : undefined;
}

/** uv appends the path of the interpreter, its length (4 bytes) and a magic word. */
function readUvLauncher(file: Buffer): string | undefined {
  const end = file.length - UV_MAGIC.length;
  if (end < 4 || !file.subarray(end).equals(UV_MAGIC)) return undefined;
  const length = file.readUInt32LE(end - 4);
  return length > end - 4 ? undefined : file.toString('utf8', end - 4 - length, end - 4);
}

/** pip and pipx put a `#!` line right before the archive. */
function readShebang(file: Buffer): string | undefined {
  const end = file.lastIndexOf(END_OF_DIRECTORY);
  if (end < 0 || end + 22 > file.length) return undefined;
  const directorySize = file.readUInt32LE(end + 12);
  const directoryOffset = file.readUInt32LE(end + 16);
  const archive = end - directorySize - directoryOffset;
  const start = archive < 0 ? -1 : file.subarray(0, archive).lastIndexOf('#!');
  if (start < 0) return undefined;
  const line = file.toString('utf8', start + 2, archive).trim();
  return /^"([^"]+)"$/.exec(line)?.[1] ?? (line.includes('\n') ? undefined : line);
}

/** The contents of an executable, as far as it leads to a Python script. */
type Wrapper =
  /** A Python script. The interpreter is a path, or a name that is looked up in PATH. */
  | { readonly kind: 'python'; readonly interpreter: string }
  /** A shell script that ends in running a program. */
  | { readonly kind: 'exec'; readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> }
  /** A shim: the tool chooses among the installed versions. */
  | { readonly kind: 'shim'; readonly tool: 'pyenv' | 'asdf'; readonly versions: readonly string[] }
  | { readonly kind: 'other'; readonly why: string };

const other = (why: string): Wrapper => ({ kind: 'other', why });

const PYTHON = /^(?:python|pypy)[\d.]*(?:\.exe)?$/;

const isPython = (file: string): boolean => PYTHON.test(path.basename(file));

/** Reads what an executable file leads to, from its text. Nothing is run: what isn't certain is `other`. */
export function readWrapper(text: string, env: Readonly<Record<string, string | undefined>>): Wrapper {
  const interpreter = interpreterNamedIn(text);
  if (interpreter !== undefined && isPython(interpreter)) return { kind: 'python', interpreter };
  if (/^#!.*python/.test(text)) return other('it starts Python with options');
  if (!text.startsWith('#!')) return other('it is a program, not a script');
  if (!/^#! ?\S*(?:\/|\benv )(?:ba|da|z|k)?sh\b/.test(text)) return other('it is a script in another language');
  return readShim(text) ?? readShellWrapper(text, env);
}

/** Parses the interpreter from a script: `#!/path/python`, `#!/usr/bin/env python3`, or the forms that installers use for long paths. */
export function interpreterNamedIn(text: string): string | undefined {
  const [first = '', second = ''] = text.split(/\r?\n/, 2);
  // pip writes double quotes, uv single ones.
  const viaShell = /^'''exec' (?:"([^"$`]+)"|'([^']+)'|([^\s'"$`]+)) "\$0" "\$@"$/.exec(second);
  if (/^#! ?\/bin\/sh$/.test(first) && viaShell !== null) return viaShell[1] ?? viaShell[2] ?? viaShell[3];
  const viaEnv = /^#! ?\/usr\/bin\/env (?:-S )?([\w.]+)$/.exec(first);
  if (viaEnv !== null) return viaEnv[1];
  // Options of the interpreter (`-I`) would be lost, so such a script is only run directly.
  return /^#! ?(\/\S+)$/.exec(first)?.[1];
}

function readShim(text: string): Wrapper | undefined {
  if (/^exec "[^"\n]*pyenv" exec "\$program" "\$@"$/m.test(text)) return { kind: 'shim', tool: 'pyenv', versions: [] };
  if (!/^exec \S*asdf exec "?dstack"? "\$@"/m.test(text)) return undefined;
  const versions = [...text.matchAll(/^# asdf-plugin: python (\S+)$/gm)].map(([, version = '']) => version);
  return { kind: 'shim', tool: 'asdf', versions };
}

/** Reads a shell script that only sets variables to literals and ends in `exec`, as Nix and people write them. */
function readShellWrapper(text: string, outer: Readonly<Record<string, string | undefined>>): Wrapper {
  const env: Record<string, string> = {};
  const lines = text
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#') && !/^set -[eux]+$/.test(line));
  const last = lines.pop() ?? '';
  for (const line of lines) {
    const folders = nixFolders(line);
    const [name, value] = readAssignment(line, outer) ?? [];
    if (folders !== undefined) env['PATH'] = [...folders, env['PATH'] ?? outer['PATH'] ?? ''].filter(Boolean).join(':');
    else if (name !== undefined && value !== undefined) env[name] = value;
    else if (!/^export \w+$/.test(line)) return other('it is a shell script that does more than start Python');
  }
  const argv = readExec(last, outer);
  return argv === undefined
    ? other("it is a shell script that doesn't end in `exec python script`")
    : { kind: 'exec', argv, env };
}

/** Returns the folders that a line of a Nix wrapper puts in front of PATH; none if the line only prepares or cleans up. */
function nixFolders(line: string): readonly string[] | undefined {
  if (!/^PATH=(?:\$\{PATH[:/#%]|'\/nix\/store\/[^']+'\$PATH$)/.test(line)) return undefined;
  return [...line.matchAll(/^PATH='(\/nix\/store\/[^']+)'\$PATH$/g)].map(([, folder = '']) => folder);
}

function readAssignment(
  line: string,
  outer: Readonly<Record<string, string | undefined>>,
): readonly [string, string] | undefined {
  const [, name = '', text = ''] = /^(?:export )?([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
  const words = readWords(text, outer);
  // A search path would have to be extended, not replaced; only the form that Nix writes is understood.
  return name === '' || name === 'PATH' || words === undefined || words.length > 1 ? undefined : [name, words[0] ?? ''];
}

/** Returns the words after `exec`, without the arguments that are handed on. */
function readExec(line: string, outer: Readonly<Record<string, string | undefined>>): readonly string[] | undefined {
  const [, text] = /^exec (?:-a "\$0" )?(.+?) (?:"\$@"|\$\{1\+"\$@"\})$/.exec(line) ?? [];
  const words = text === undefined ? undefined : readWords(text, outer);
  return words?.[0] !== undefined && path.isAbsolute(words[0]) ? words : undefined;
}

const WORD = /\s*((?:'[^']*'|"[^"]*"|[^\s'"]+)+)/gy;

/** Splits literal shell words. Of expansions, only `$HOME` is understood; undefined for any other. */
function readWords(text: string, { HOME }: Readonly<Record<string, string | undefined>>): string[] | undefined {
  const words: string[] = [];
  let end = 0;
  for (const match of text.matchAll(WORD)) {
    const word = (match[1] ?? '').replaceAll(/'([^']*)'|"([^"]*)"|([^'"]+)/g, (_, single, double, bare) =>
      single === undefined ? expandHome(double ?? bare, HOME) : String(single),
    );
    if (word.includes('\0')) return undefined;
    words.push(word);
    end = match.index + match[0].length;
  }
  return text.slice(end).trim() === '' ? words : undefined;
}

/** Replaces `$HOME`; marks everything else that a shell would interpret with a null character, which no text has. */
const expandHome = (text: string, home: string | undefined): string =>
  text.replaceAll(/\$HOME\b|\$\{HOME\}/g, home ?? '\0').replaceAll(/[$`\\;&|<>(){}*?[\]!#~]/g, '\0');
