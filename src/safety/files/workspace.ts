import { createHash } from 'node:crypto';
import { lstat, realpath } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';
import { fileKindOf, findPathProblem, isSystemPath } from './path-rules.ts';
import type { FileKind } from './path-rules.ts';
import { readRegularFile } from './read-regular-file.ts';

/** A place inside the workspace, with every link resolved. */
export interface WorkspacePath {
  /** The path as it was asked for. */
  readonly path: string;
  /** Absolute, without links. */
  readonly realPath: string;
  /** From `folder`: what the CLI is given, with `folder` as its working directory. */
  readonly relativePath: string;
  /** The allowed folder that holds it, without links. */
  readonly folder: string;
}

/** A file as it was read, once: what is planned, shown and applied are these bytes. */
export interface ConfigurationFile extends WorkspacePath {
  readonly bytes: Buffer;
  readonly sha256: string;
}

/** The folders that this server reads from and writes to. */
export interface Workspace {
  readonly folders: readonly string[];
  /** Reads a `*.dstack.yml`. @throws ToolError `outside-workspace`, `file-not-found` or `invalid-file`. */
  readConfiguration(file: string): Promise<ConfigurationFile>;
  /** Reads a `.dstack/profiles.yml`. */
  readProfile(file: string): Promise<ConfigurationFile>;
  /** Reads a `.env` or `.envrc`. Its bytes are secret. */
  readEnvFile(file: string): Promise<ConfigurationFile>;
  /** Admits a path for writing a configuration: the file may be missing, its folder may not. */
  resolveForWrite(file: string): Promise<WorkspacePath & { readonly exists: boolean }>;
  /** SHA-256 of each profile file that changes plans silently: in the working directory and in the home folder. */
  hashProfiles(folder: string): Promise<Readonly<Record<string, string>>>;
}

export interface WorkspaceOptions {
  /** Absolute; the first one is where relative paths start. */
  readonly folders: readonly string[];
  readonly home: string;
  readonly platform?: NodeJS.Platform;
}

const MAX_BYTES: Readonly<Record<FileKind, number>> = { configuration: 1_000_000, profile: 1_000_000, env: 200_000 };

/** Creates the one place that decides which files may be touched. Paths are expanded first and compared then. */
export function createWorkspace(options: WorkspaceOptions): Workspace {
  const platform = options.platform ?? process.platform;
  const shown = options.folders.join(', ');

  const outside = (file: string, why: string): ToolError =>
    new ToolError(
      'outside-workspace',
      `The path ${JSON.stringify(file)} is refused: ${why}. Nothing was read or written.`,
      `Name a file inside ${shown}, without \`..\`.`,
    );

  /** The path with `~` and every link resolved; what doesn't exist yet hangs on its nearest existing parent. */
  const expand = async (file: string): Promise<{ realPath: string; exists: boolean }> => {
    const problem = findPathProblem(file, platform);
    if (problem !== undefined) throw outside(file, problem);
    const homely = /^~(?=$|[/\\])/.test(file) ? path.join(options.home, file.slice(1)) : file;
    if (homely.startsWith('~')) throw outside(file, "another user's home folder is not read");
    if (path.isAbsolute(homely)) return resolveLinks(homely);
    // A relative path means the first folder that has such a file.
    const found = await Promise.all(options.folders.map((folder) => resolveLinks(path.join(folder, homely))));
    return found.find((candidate) => candidate.exists) ?? found[0] ?? resolveLinks(homely);
  };

  const admit = async (file: string): Promise<WorkspacePath & { exists: boolean }> => {
    const { realPath, exists } = await expand(file);
    if (isSystemPath(realPath)) throw outside(file, `it leads to ${realPath}, a folder of devices or processes`);
    for (const folder of await Promise.all(options.folders.map((allowed) => resolveLinks(allowed)))) {
      const relativePath = path.relative(folder.realPath, realPath);
      if (isBelow(relativePath)) return { path: file, realPath, relativePath, folder: folder.realPath, exists };
    }
    throw outside(file, `it leads to ${realPath}, which is outside the workspace`);
  };

  const read = async (file: string, kind: FileKind, expected: string): Promise<ConfigurationFile> => {
    const { exists: _exists, ...place } = await admit(file);
    if (fileKindOf(place.relativePath) !== kind) throw outside(file, `only ${expected} is read here`);
    const found = await readRegularFile(place.realPath, MAX_BYTES[kind]);
    if (found.kind === 'missing')
      throw new ToolError('file-not-found', `There is no file ${file} in ${shown}.`, 'Check the path.');
    if (found.kind !== 'read')
      throw new ToolError(
        'invalid-file',
        `${file} was not read: ${found.reason}.`,
        `It must be a plain file: ${expected}.`,
      );
    return { ...place, bytes: found.bytes, sha256: sha256(found.bytes) };
  };

  return {
    folders: options.folders,
    readConfiguration: (file) =>
      read(file, 'configuration', 'a configuration (*.dstack.yml, *.dstack.yaml, .dstack.yml)'),
    readProfile: (file) => read(file, 'profile', 'profiles (.dstack/profiles.yml)'),
    readEnvFile: (file) => read(file, 'env', 'an env file (.env, .envrc)'),
    async resolveForWrite(file) {
      const place = await admit(file);
      if (fileKindOf(place.relativePath) !== 'configuration')
        throw outside(file, 'only *.dstack.yml, *.dstack.yaml and .dstack.yml are written');
      return place;
    },
    async hashProfiles(folder) {
      const files = [folder, options.home].flatMap((base) =>
        ['profiles.yml', 'profiles.yaml'].map((name) => path.join(base, '.dstack', name)),
      );
      return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await hashProfile(file)] as const)));
    },
  };
}

/** Below, and not the folder itself. On Windows another drive gives an absolute path. */
const isBelow = (relativePath: string): boolean =>
  relativePath !== '' &&
  relativePath !== '..' &&
  !relativePath.startsWith(`..${path.sep}`) &&
  !path.isAbsolute(relativePath);

/**
 * The real path, links resolved and, where the disk ignores case, in the disk's own spelling: so equal paths have equal text.
 * @throws ToolError where a link leads nowhere: writing through it would create a file somewhere else.
 */
async function resolveLinks(file: string): Promise<{ realPath: string; exists: boolean }> {
  const missing: string[] = [];
  for (let current = path.resolve(file); ; current = path.dirname(current)) {
    try {
      return { realPath: path.join(await realpath(current), ...missing), exists: missing.length === 0 };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const atRoot = path.dirname(current) === current;
      if (atRoot || (code !== 'ENOENT' && code !== 'ENOTDIR') || (await isLink(current))) {
        throw new ToolError(
          'outside-workspace',
          `The path ${JSON.stringify(file)} can't be resolved (${String(code)}).`,
          'Check the path.',
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

/** Profiles are only hashed, never shown; a link is followed as dstack follows it. */
async function hashProfile(file: string): Promise<string> {
  const { realPath, exists } = await resolveLinks(file);
  if (!exists) return 'absent';
  const found = await readRegularFile(realPath, MAX_BYTES.profile);
  if (found.kind === 'read') return sha256(found.bytes);
  if (found.kind === 'missing') return 'absent';
  // What can't be read can't be bound: a plan that depends on it isn't one that can be agreed to.
  throw new ToolError(
    'invalid-file',
    `The profile file ${file} was not read: ${found.reason}.`,
    'Make it a plain file that can be read.',
  );
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
