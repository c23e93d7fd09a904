import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { formatBytes, plural } from '../core/format-values.ts';
import { CommandFailed } from '../core/report.ts';
import { sha256 } from '../core/sha256.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Cli } from '../dstack/dstack-cli.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';
import { outside, resolveNamedPath } from '../safety/files/named-path.ts';
import type { PathScope, ResolvedPath } from '../safety/files/named-path.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { checkRepository } from './check-repository.ts';
import type { NamedEnvironment } from './env-files.ts';
import { hostOf, listHandOver } from './hand-over.ts';
import type { NamedPath } from './hand-over.ts';

/** Inputs of the judgment: dstack's own rules of what it ignores, its home folder, and the operator's limits. */
export interface HandOverScope {
  readonly cli: Pick<Cli, 'env'> & { readonly introspection: Pick<Introspection, 'walk'> };
  /** The folders of the workspace. */
  readonly folders: readonly string[];
  readonly readOnly: boolean;
}

/** A configuration that is about to be planned. */
export interface PlannedFile {
  readonly file: Pick<ConfigurationFile, 'realPath' | 'relativePath' | 'folder'>;
  readonly value: Readonly<Record<string, unknown>>;
  readonly environment: Pick<NamedEnvironment, 'given' | 'inherited'>;
}

/** Everything that planning hands over to dstack's server, in addition to the configuration. */
export interface JudgedHandOver {
  /** Sentences without their end. Empty if only the configuration is sent. */
  readonly warnings: readonly string[];
  /** Hashes that a token binds, by path. */
  readonly hashes: Readonly<Record<string, string>>;
}

/** More entries can't be checked in a reasonable time. dstack's server accepts a few megabytes. */
const MAX_ENTRIES = 20_000;

/**
 * Judges what dstack would read and send for a configuration, before dstack is started.
 * @throws ToolError `outside-workspace` for a path that leads outside, `invalid-file` for a repository that could run a program,
 * `read-only` if this server is read-only and anything but the configuration would be sent
 */
export async function judgeHandOver(scope: HandOverScope, planned: PlannedFile): Promise<JudgedHandOver> {
  const { file, value, environment } = planned;
  const { paths, remotes, hasRegistryPassword } = listHandOver(value);
  if (paths.length > 0 && file.relativePath.startsWith('~'))
    throw outside(file.relativePath, 'dstack takes its `~` for a home folder', scope.folders);
  const judged = await Promise.all(paths.map((named) => judgePath(scope, planned, named)));
  const hosts = [...new Set([...judged.flatMap((one) => one.hosts), ...remotes.map(hostOf)])];
  const sent = [
    ...describeFiles(judged),
    ...judged.flatMap((one) => one.sent),
    ...(hosts.length === 0 ? [] : [`the Git credentials that dstack finds for ${hosts.join(', ')}`]),
    ...(hasRegistryPassword ? ['the registry password in the configuration'] : []),
    ...(environment.inherited.length === 0
      ? []
      : [`the values of ${environment.inherited.join(', ')} from this server's environment`]),
  ];
  const all = [...sent, ...(environment.given.length === 0 ? [] : [`the values of ${environment.given.join(', ')}`])];
  if (scope.readOnly && all.length > 0) throw readOnly(file.relativePath, joinParts(all));
  const contact = hosts.length === 0 ? '' : `, and contacted ${hosts.join(', ')}`;
  const later = judged.flatMap((one) => one.later);
  return {
    warnings: [
      ...(sent.length === 0 ? [] : [`planning sent ${joinParts(sent)} to the dstack server${contact}`]),
      ...later,
    ],
    hashes: Object.assign({}, ...judged.map((one) => one.hashes)),
  };
}

interface JudgedPath {
  readonly files?: { readonly from: string; readonly count: number; readonly bytes: number };
  readonly sent: readonly string[];
  /** The part that is sent only when the plan is applied. */
  readonly later: readonly string[];
  readonly hosts: readonly string[];
  readonly hashes: Readonly<Record<string, string>>;
}

async function judgePath(scope: HandOverScope, { file }: PlannedFile, named: NamedPath): Promise<JudgedPath> {
  const pathScope: PathScope = {
    // dstack resolves keys in its working directory, and everything else next to the configuration.
    base: named.kind === 'private-key' ? file.folder : path.dirname(file.realPath),
    folders: scope.folders,
    home: scope.cli.env[process.platform === 'win32' ? 'USERPROFILE' : 'HOME'] ?? homedir(),
  };
  const resolved = await resolveNamedPath(named.path, pathScope);
  const nothing = { sent: [], later: [], hosts: [] };
  switch (named.kind) {
    case 'files': {
      const { count, bytes, hash } = await measure(scope, resolved, pathScope);
      return { ...nothing, files: { from: named.path, count, bytes }, hashes: { [resolved.realPath]: hash } };
    }
    case 'repository': {
      // GitPython expands variables in the path (git/repo/base.py).
      if (/[$%]/.test(resolved.path)) throw outside(named.path, 'git would expand a variable in it', scope.folders);
      const repository = await checkRepository(resolved.realPath, pathScope);
      return {
        sent: [`the branch, commit and author of the Git repository ${named.path}`],
        later: [`applying sends the uncommitted changes in the Git repository ${named.path}`],
        hosts: repository.hosts,
        hashes: { [path.join(resolved.realPath, '.git')]: repository.sha256 },
      };
    }
    case 'private-key': {
      // dstack sends the file next to it as the public key, unread.
      await resolveNamedPath(`${named.path}.pub`, pathScope);
      const found = await stat(resolved.realPath).catch(() => undefined);
      const hash = found === undefined ? 'absent' : sha256(`${found.size} ${found.mtimeMs}`);
      return { ...nothing, sent: [`the private SSH key ${named.path}`], hashes: { [resolved.realPath]: hash } };
    }
    default:
      return named.kind satisfies never;
  }
}

interface Measured {
  readonly count: number;
  readonly bytes: number;
  readonly hash: string;
}

/** Counts the files that dstack would send for a path in `files`. It replaces a link that leads out of the folder with its file. */
async function measure({ cli, folders }: HandOverScope, root: ResolvedPath, scope: PathScope): Promise<Measured> {
  const listed = await cli.introspection.walk({ root: root.path, limit: MAX_ENTRIES });
  const paths = listed ?? (await listAll(root.path));
  if (paths.length > MAX_ENTRIES) throw tooMany(root.path);
  const entries = await Promise.all(
    paths.map(async (file) => {
      const found = await lstat(file).catch(() => undefined);
      // A name that isn't valid UTF-8, or a file that was just removed.
      if (found === undefined) throw outside(file, "it can't be checked", folders);
      if (!found.isSymbolicLink()) return { file, size: found.isFile() ? found.size : 0, found };
      if ((await realpath(file).catch(() => undefined)) === undefined) return { file, size: 0, found };
      const { realPath } = await resolveNamedPath(file, scope);
      const target = await stat(realPath);
      return { file, size: target.isFile() ? target.size : 0, found: target };
    }),
  );
  const facts = entries.map(({ file, size, found }) => [
    path.relative(root.path, file),
    size,
    found.mtimeMs,
    found.mode,
  ]);
  return {
    count: entries.filter(({ found }) => !found.isDirectory()).length,
    bytes: entries.reduce((sum, { size }) => sum + size, 0),
    hash: sha256(JSON.stringify(facts.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)))),
  };
}

/** Lists everything below a path but its `.git`, ignored or not: for a dstack that can't be asked. */
async function listAll(root: string): Promise<readonly string[]> {
  const paths: string[] = [];
  const open = [root];
  for (let next = open.pop(); next !== undefined && paths.length <= MAX_ENTRIES; next = open.pop()) {
    paths.push(next);
    const isFolder = next === root ? (await stat(next).catch(() => undefined))?.isDirectory() : true;
    if (isFolder !== true) continue;
    for (const entry of await readdir(next, { withFileTypes: true }).catch(() => [])) {
      const file = path.join(next, entry.name);
      if (!entry.isDirectory()) paths.push(file);
      else if (file !== path.join(root, '.git')) open.push(file);
    }
  }
  // dstack reports a missing path itself.
  return paths.length === 1 && (await lstat(root).catch(() => undefined)) === undefined ? [] : paths;
}

function describeFiles(judged: readonly JudgedPath[]): string[] {
  const files = judged.flatMap((one) => one.files ?? []);
  if (files.length === 0) return [];
  const count = files.reduce((sum, one) => sum + one.count, 0);
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0);
  return [`${plural(count, 'file')} (${formatBytes(bytes)}) from ${files.map(({ from }) => from).join(', ')}`];
}

/** Adds to the error of a failed plan what was sent before it failed, if the requests show that files were. */
export function reportHandOver(
  failed: CommandFailed,
  { requests = [] }: Pick<Transcript, 'requests'>,
  { warnings: [sent] }: JudgedHandOver,
): CommandFailed {
  const uploaded = requests.some((one) => one.event === 'sent' && one.path === 'files/upload_archive');
  if (!uploaded || sent === undefined) return failed;
  const { report } = failed;
  return new CommandFailed({ ...report, summary: `${report.summary} Before that, ${sent}.` });
}

const joinParts = (parts: readonly string[]): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;

const tooMany = (folder: string): ToolError =>
  new ToolError(
    'invalid-file',
    `\`files\` names ${folder}, which has more than ${MAX_ENTRIES} files. Nothing was run or sent.`,
    'Name only the files that the run needs, or leave others out with a .dstackignore next to them.',
  );

const readOnly = (file: string, what: string): ToolError =>
  new ToolError(
    'read-only',
    `This server is read-only, and planning ${file} would send ${what} to the dstack server. Nothing was run or sent.`,
    'Tell the user that this server is read-only. A configuration without these parts can be planned.',
  );
