import { lstat, realpath } from 'node:fs/promises';
import path from 'node:path';
import { ToolError, codeOf } from '../../core/errors.ts';
import { containsPath, isBelow } from '../../core/paths.ts';
import { sha256 } from '../../core/values.ts';
import { cleanText, showPath } from '../../render/untrusted.ts';
import { readRegularFile } from './regular-files.ts';

/** A path inside the workspace, with every link resolved. */
export interface WorkspacePath {
  /** Absolute, without links. */
  readonly realPath: string;
  /** Relative to `folder`. The CLI gets this path, with `folder` as its working directory. */
  readonly relativePath: string;
  /** The allowed folder that contains it, without links. */
  readonly folder: string;
}

/** A file that was read once: these bytes are planned, shown and applied. */
export interface ConfigurationFile extends WorkspacePath {
  readonly bytes: Buffer;
  readonly sha256: string;
}

/** The folders that this server reads from and writes to. */
export interface Workspace {
  readonly folders: readonly string[];
  /** Replaces the folders, by the roots of the client. */
  use(folders: readonly string[]): void;
  /** Reads a `*.dstack.yml`. @throws ToolError `outside-workspace`, `not-a-configuration`, `file-not-found` or `invalid-file`. */
  readConfiguration(file: string): Promise<ConfigurationFile>;
  /** Reads a `.dstack/profiles.yml`. */
  readProfile(file: string): Promise<ConfigurationFile>;
  /** Reads a `.env` or `.envrc`. Its bytes are secret. */
  readEnvFile(file: string): Promise<ConfigurationFile>;
  /** Checks a path for writing a configuration. The file may be missing, but its folder may not. */
  resolveForWrite(file: string): Promise<WorkspacePath & { readonly exists: boolean }>;
  /** Checks the path of a file or folder to copy: a folder of the workspace is one, too. */
  resolve(file: string): Promise<WorkspacePath & { readonly exists: boolean }>;
  /** Returns the SHA-256 of each profile file that dstack merges silently: in the working directory and in the home folder. */
  hashProfiles(folder: string): Promise<Readonly<Record<string, string>>>;
  /** Returns the same with the texts of the files that exist. They are only judged, never shown. */
  readProfiles(folder: string): Promise<Profiles>;
}

/** The profile files that dstack merges silently. */
interface Profiles {
  /** SHA-256 by path; `absent` for a missing file. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly texts: readonly string[];
}

interface WorkspaceOptions {
  /** Absolute. New files with a relative path are in the first one. */
  readonly folders: readonly string[];
  readonly home: string;
  readonly platform?: NodeJS.Platform;
}

const MAX_BYTES: Readonly<Record<FileKind, number>> = { configuration: 1_000_000, profile: 1_000_000, env: 200_000 };

/** Creates the workspace, which alone decides which files may be touched. Paths are resolved first, then checked. */
export function createWorkspace(options: WorkspaceOptions): Workspace {
  const platform = options.platform ?? process.platform;
  let { folders } = options;

  const outside = (file: string, why: string): ToolError =>
    new ToolError(
      'outside-workspace',
      `The path ${JSON.stringify(file)} is refused: ${why}. Nothing was read or written.`,
      `Use a path inside ${folders.join(', ')}, without \`..\`. The user can set other folders with DSTACK_MCP_WORKSPACE.`,
    );

  /** Resolves `~` and every link. A path that doesn't exist yet is resolved up to its nearest existing parent. */
  const expand = async (file: string): Promise<{ realPath: string; exists: boolean }> => {
    const problem = findPathProblem(file, platform);
    if (problem !== undefined) throw outside(file, problem);
    const expanded = /^~(?=$|[/\\])/.test(file) ? path.join(options.home, file.slice(1)) : file;
    if (expanded.startsWith('~')) throw outside(file, "another user's home folder is not read");
    if (path.isAbsolute(expanded)) return resolveLinks(expanded);
    // A relative path is in the first folder that has such a file.
    const found = await Promise.all(folders.map((folder) => resolveLinks(path.join(folder, expanded))));
    return found.find((candidate) => candidate.exists) ?? found[0] ?? resolveLinks(expanded);
  };

  const check = async (file: string, orFolder = false): Promise<WorkspacePath & { exists: boolean }> => {
    const { realPath, exists } = await expand(file);
    if (isSystemPath(realPath))
      throw outside(file, `it leads to ${showPath(realPath)}, a folder of devices or processes`);
    const isIn = orFolder ? containsPath : isBelow;
    for (const folder of await Promise.all(folders.map((one) => resolveLinks(one)))) {
      if (isIn(folder.realPath, realPath))
        return {
          realPath,
          relativePath: path.relative(folder.realPath, realPath),
          folder: folder.realPath,
          exists,
        };
    }
    throw outside(file, `it leads to ${showPath(realPath)}, which is outside the workspace`);
  };

  const read = async (file: string, kind: FileKind, expected: string): Promise<ConfigurationFile> => {
    const { exists: _exists, ...checked } = await check(file);
    if (fileKindOf(checked.relativePath) !== kind)
      throw otherKind(`${JSON.stringify(file)} is not ${expected}, and nothing else is read here.`);
    const found = await readRegularFile(checked.realPath, MAX_BYTES[kind]);
    if (found.kind === 'missing')
      throw new ToolError('file-not-found', `There is no file ${file} in ${folders.join(', ')}.`, NOT_THERE);
    if (found.kind !== 'read')
      throw new ToolError(
        'invalid-file',
        `${file} was not read: ${found.reason}.`,
        `It must be a regular file: ${expected}.`,
      );
    return { ...checked, bytes: found.bytes, sha256: sha256(found.bytes) };
  };

  const readProfiles = async (folder: string): Promise<Profiles> => {
    const files = [folder, options.home].flatMap((base) =>
      ['profiles.yml', 'profiles.yaml'].map((name) => path.join(base, '.dstack', name)),
    );
    const found = await Promise.all(files.map(async (file) => ({ file, bytes: await readProfileBytes(file) })));
    return {
      hashes: Object.fromEntries(
        found.map(({ file, bytes }) => [file, bytes === undefined ? 'absent' : sha256(bytes)] as const),
      ),
      texts: found.flatMap(({ bytes }) => (bytes === undefined ? [] : [Buffer.from(bytes).toString('utf8')])),
    };
  };

  return {
    get folders() {
      return folders;
    },
    use(others) {
      folders = others;
    },
    readConfiguration: (file) => read(file, 'configuration', CONFIGURATION),
    readProfile: (file) => read(file, 'profile', 'profiles (.dstack/profiles.yml)'),
    readEnvFile: (file) => read(file, 'env', 'an env file (.env, .envrc)'),
    async resolveForWrite(file) {
      const checked = await check(file);
      if (fileKindOf(checked.relativePath) !== 'configuration')
        throw otherKind(`${JSON.stringify(file)} is not named like ${CONFIGURATION}, and nothing else is written.`);
      return checked;
    },
    resolve: (file) => check(file, true),
    hashProfiles: async (folder) => (await readProfiles(folder)).hashes,
    readProfiles,
  };
}

const CONFIGURATION = 'a configuration (*.dstack.yml, *.dstack.yaml, .dstack.yml)';

const otherKind = (message: string): ToolError =>
  new ToolError(
    'not-a-configuration',
    `${message} Nothing was read or written.`,
    'config with action "find" lists the configurations; write_config creates one.',
  );

const NOT_THERE = 'Check the path. The folders are set with DSTACK_MCP_WORKSPACE.';

/**
 * Resolves every link, and the case of letters if the file system ignores it, so that equal paths have equal texts.
 * @throws ToolError for a broken link: writing through it would create a file somewhere else.
 */
export async function resolveLinks(file: string): Promise<{ realPath: string; exists: boolean }> {
  const missing: string[] = [];
  for (let current = path.resolve(file); ; current = path.dirname(current)) {
    try {
      return { realPath: path.join(await realpath(current), ...missing), exists: missing.length === 0 };
    } catch (error) {
      const code = codeOf(error);
      const atRoot = path.dirname(current) === current;
      if (atRoot || (code !== 'ENOENT' && code !== 'ENOTDIR') || (await isLink(current))) {
        throw new ToolError(
          'outside-workspace',
          `The path ${JSON.stringify(file)} can't be resolved (${code}). Nothing was read or written.`,
          'Pass a path without broken links; config with action "find" lists the configurations.',
          { cause: error },
        );
      }
      missing.unshift(path.basename(current));
    }
  }
}

async function isLink(file: string): Promise<boolean> {
  return lstat(file).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );
}

/** Reads a profile; undefined if there is none. Follows a link, as dstack does. */
async function readProfileBytes(file: string): Promise<Uint8Array | undefined> {
  const { realPath, exists } = await resolveLinks(file);
  if (!exists) return undefined;
  const found = await readRegularFile(realPath, MAX_BYTES.profile);
  if (found.kind === 'read') return found.bytes;
  if (found.kind === 'missing') return undefined;
  // A token can't bind a file that can't be read, so a plan that depends on it can't be approved.
  throw new ToolError(
    'invalid-file',
    `The profile file ${file} was not read: ${found.reason}.`,
    'Make it a regular, readable file.',
  );
}

const WINDOWS_DEVICE =
  /^(?:con|prn|aux|nul|com[0-9\u00B9\u00B2\u00B3]|lpt[0-9\u00B9\u00B2\u00B3]|conin\$|conout\$)(?:\.|$)/i;

/** Returns why the text alone of a path makes it invalid, without touching the disk; undefined if it is fine. */
export function findPathProblem(text: string, platform: NodeJS.Platform): string | undefined {
  if (text.trim() === '') return 'it is empty';
  if (text.length > 4096) return 'it is longer than 4096 characters';
  const clean = cleanText(text);
  if (clean.text !== text || /[\t\n]/.test(text)) return 'it contains control or invisible characters';
  // A drive has one letter; two or more letters before the colon are a URL scheme.
  if (/^[a-z][a-z0-9+.-]+:/i.test(text)) return 'it is a URL, not a path';
  const segments = text.split(platform === 'win32' ? /[\\/]/ : '/');
  // Refused instead of resolved: after a link, `..` is a different folder for the kernel than for string operations.
  if (segments.includes('..')) return 'it contains `..`';
  if (isSystemPath(text)) return 'it is in a folder of devices or processes';
  return platform === 'win32' ? findWindowsProblem(text, segments) : undefined;
}

/** Whether a path is below /proc, /sys or /dev. Shared memory (/dev/shm) has ordinary files. */
export const isSystemPath = (absolute: string): boolean => /^\/+(?:proc|sys|dev(?!\/+shm\/))(?:\/|$)/.test(absolute);

function findWindowsProblem(text: string, segments: readonly string[]): string | undefined {
  if (/^[\\/]{2}/.test(text)) return 'it is a network or device path';
  if (text.replace(/^[a-z]:(?=[\\/])/i, '').includes(':')) return 'it names a drive without a folder, or a data stream';
  if (segments.some((segment) => WINDOWS_DEVICE.test(segment))) return 'it names a device';
  // Windows ignores them: `x.dstack.yml.` opens `x.dstack.yml`.
  if (segments.some((segment) => /[. ]$/.test(segment) && segment !== '.'))
    return 'a part of it ends with a dot or a space';
  return undefined;
}

/** Kinds of files that this server reads, determined by name. */
type FileKind = 'configuration' | 'profile' | 'env';

/** Returns the kind of a file by its path relative to the working directory; undefined for any other file. */
export function fileKindOf(relativePath: string): FileKind | undefined {
  const segments = relativePath.split(/[\\/]/);
  const name = segments.at(-1) ?? '';
  if (/\.dstack\.ya?ml$/.test(name)) return 'configuration';
  if (segments.at(-2) === '.dstack' && /^profiles\.ya?ml$/.test(name)) return 'profile';
  return name === '.env' || name === '.envrc' ? 'env' : undefined;
}
