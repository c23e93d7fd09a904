import { lstat, readFile, readdir, readlink, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import pLimit from 'p-limit';
import { ToolError } from '../core/errors.ts';
import { formatBytes, plural, sha256 } from '../core/values.ts';
import { containsPath, isBelow } from '../core/paths.ts';
import { showPath } from '../render/untrusted.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';
import { resolveLinks } from '../safety/files/workspace.ts';
import { neverSent, outside, resolveNamedPath } from '../safety/files/named-path.ts';
import type { PathScope, ResolvedPath } from '../safety/files/named-path.ts';
import { readRegularFile } from '../safety/files/regular-files.ts';

/** The files that dstack would send for one path in `files`. */
export interface MeasuredFiles {
  /** The path as written. */
  readonly from: string;
  readonly count: number;
  readonly bytes: number;
  readonly hash: string;
  /** The digest of all names and contents, which the gate compares with what dstack sends (`worker/wire_gate.py`). */
  readonly archive: string;
  /** The largest files, with their sizes. */
  readonly largest: readonly { readonly file: string; readonly size: number }[];
}

/** More entries can't be checked in a reasonable time. */
const MAX_ENTRIES = 20_000;
const SHOWN_LARGEST = 3;
/** Files that are read at the same time. */
const PARALLEL = 16;

/** Counts the files that dstack would send for a path. It replaces a link that leads out of the folder with its file. */
export async function measureFiles(
  introspection: Pick<Introspection, 'walk'>,
  root: ResolvedPath,
  scope: PathScope & { readonly from: string; readonly maxBytes: number },
): Promise<MeasuredFiles> {
  const listed = await introspection.walk({ root: root.path, limit: MAX_ENTRIES });
  const paths = listed ?? (await listAll(root.path));
  if (paths.length > MAX_ENTRIES) throw tooMany(root.path);
  const never = await Promise.all((scope.never ?? []).map(async (folder) => (await resolveLinks(folder)).realPath));
  const entries = await Promise.all(
    paths.map(async (file) => {
      const found = await lstat(file).catch(() => undefined);
      // A name that isn't valid UTF-8, or a file that was just removed.
      if (found === undefined) throw outside(file, "it can't be checked", scope.folders);
      const real = path.join(root.realPath, path.relative(root.path, file));
      if (never.some((folder) => isBelow(folder, real))) throw neverSent(showPath(file));
      if (!found.isSymbolicLink()) return { file, size: found.isFile() ? found.size : 0, found, real };
      if ((await realpath(file).catch(() => undefined)) === undefined) return { file, size: 0, found };
      const { realPath } = await resolveNamedPath(file, scope);
      const target = await stat(realPath);
      const size = target.isFile() ? target.size : 0;
      // dstack sends a link within the folder as a link.
      return { file, size, found: target, ...((await staysLink(file, root.path)) ? {} : { real: realPath }) };
    }),
  );
  const facts = entries.map(({ file, size, found }) => [
    path.relative(root.path, file),
    size,
    found.mtimeMs,
    found.mode,
  ]);
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  // Whoever calls refuses more than that.
  const archive = bytes > scope.maxBytes ? '' : await digestFiles(entries, root.path, scope);
  return {
    from: scope.from,
    archive,
    count: entries.filter(({ found }) => !found.isDirectory()).length,
    bytes,
    hash: sha256(JSON.stringify([archive, facts.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))])),
    largest: entries.toSorted((a, b) => b.size - a.size).slice(0, SHOWN_LARGEST),
  };
}

interface Entry {
  readonly file: string;
  readonly size: number;
  readonly found: { isFile(): boolean };
  /** The path that its content is read from; missing if dstack sends none. */
  readonly real?: string;
}

/**
 * Returns the digest of the names and contents of files, each read through a descriptor that is known to be the checked one. What is
 * swapped before dstack reads it has another digest, and isn't sent.
 */
async function digestFiles(entries: readonly Entry[], root: string, { folders }: PathScope): Promise<string> {
  const limit = pLimit(PARALLEL);
  const digests = await limit.map(entries, async ({ file, size, found, real }) => {
    if (real === undefined || !found.isFile()) return [];
    const read = await readRegularFile(real, size);
    if (read.kind !== 'read') throw outside(file, `it can't be checked: ${read.reason}`, folders);
    const name = path.relative(path.dirname(root), file).replaceAll(path.sep, '/');
    return [sha256(`${name}\0${sha256(read.bytes)}`)];
  });
  return sha256(digests.flat().sort().join('\n'));
}

/** Whether dstack keeps a link, as its target is in the folder that is sent (utils/files.py). Otherwise it sends the file. */
async function staysLink(link: string, root: string): Promise<boolean> {
  return containsPath(root, path.resolve(path.dirname(link), await readlink(link)));
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

/** Describes all files that would be sent. Returns nothing if there are none. */
export function describeFiles(files: readonly MeasuredFiles[]): string[] {
  if (files.length === 0) return [];
  const count = files.reduce((sum, one) => sum + one.count, 0);
  return [
    `${plural(count, 'file')} (${formatBytes(sumBytes(files))}) from ${files.map(({ from }) => showPath(from)).join(', ')}`,
  ];
}

const sumBytes = (files: readonly MeasuredFiles[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** @throws ToolError `invalid-file` if there is more to send than the operator allows, with the largest files */
export function assertSize(files: readonly MeasuredFiles[], maxBytes: number): void {
  if (sumBytes(files) <= maxBytes) return;
  const largest = files
    .flatMap((one) => one.largest)
    .sort((a, b) => b.size - a.size)
    .slice(0, SHOWN_LARGEST)
    .map(({ file, size }) => `${showPath(file)} (${formatBytes(size)})`);
  throw new ToolError(
    'invalid-file',
    `\`files\` names ${describeFiles(files).join('')}, more than the ${formatBytes(maxBytes)} that one plan may send. Nothing was run or sent.`,
    'Leave what the run does not need out with a .dstackignore next to the files, and load large data in the run itself. The operator sets the limit with DSTACK_MCP_MAX_UPLOAD.',
    { untrusted: `The largest: ${largest.join(', ')}` },
  );
}

const tooMany = (folder: string): ToolError =>
  new ToolError(
    'invalid-file',
    `\`files\` names ${showPath(folder)}, which has more than ${MAX_ENTRIES} files. Nothing was run or sent.`,
    'Name only the files that the run needs, or leave others out with a .dstackignore next to them.',
  );

/** A local repository that dstack's git may read. */
interface CheckedRepository {
  /** The URLs of its remotes, one of which dstack contacts. */
  readonly remotes: readonly string[];
  /** Hashes of its configuration and of what is checked out. */
  readonly sha256: string;
}

const MAX_FOLDERS = 20_000;

/**
 * Checks that reading a repository with git starts no program of that repository, and reads nothing outside the workspace. Its
 * submodules and the repositories in its folders are checked, too: git reads them on the way.
 * @throws ToolError `outside-workspace` or `invalid-file`. A folder without `.git` is left to dstack, unless it is a bare repository.
 */
export async function checkRepository(folder: string, scope: PathScope): Promise<CheckedRepository> {
  const parts = await Promise.all(['HEAD', 'objects', 'refs'].map((name) => exists(path.join(folder, name))));
  if (parts.every(Boolean)) throw risky(folder, 'it is a bare repository, kept as plain files');
  const texts: string[] = [];
  const remotes = new Set<string>();
  for (const repository of await findRepositories(folder))
    for (const { text, variables, isSubmodule } of await readConfigurations(repository, scope)) {
      texts.push(text);
      if (repository !== folder || isSubmodule) continue;
      for (const { key, value } of variables) if (key === 'remote.url') remotes.add(value);
    }
  const head = await readFile(path.join(folder, '.git', 'HEAD'), 'utf8').catch(() => '');
  return { remotes: [...remotes], sha256: sha256(JSON.stringify([head, ...texts])) };
}

/** Returns the folder, and every folder in it that has a `.git`, in a fixed order. */
async function findRepositories(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  const open = [folder];
  let visited = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    visited += 1;
    if (visited > MAX_FOLDERS) throw risky(folder, `it has more than ${MAX_FOLDERS} folders`);
    const entries = await readdir(next, { withFileTypes: true }).catch(() => []);
    if (entries.some(({ name }) => name === '.git')) found.push(next);
    for (const entry of entries)
      if (entry.isDirectory() && entry.name !== '.git') open.push(path.join(next, entry.name));
  }
  return found.sort();
}

interface ReadConfiguration {
  readonly text: string;
  readonly variables: readonly GitVariable[];
  readonly isSubmodule: boolean;
}

/** Reads the configurations that git would read in a work tree: its own, those of its work trees, and of its submodules. */
async function readConfigurations(folder: string, scope: PathScope): Promise<readonly ReadConfiguration[]> {
  const inside = async (file: string): Promise<string> => (await resolveNamedPath(file, scope)).realPath;
  const own = await inside(await gitFolderOf(folder));
  const common = await readFile(path.join(own, 'commondir'), 'utf8').catch(() => undefined);
  const shared = common === undefined ? own : await inside(path.resolve(own, common.trim()));
  const folders = [...new Set([own, shared, ...(await findSubmodules(path.join(shared, 'modules')))])];
  const files = folders.flatMap((one) => ['config', 'config.worktree'].map((name) => path.join(one, name)));
  const read = await Promise.all(
    files.map(async (file) => {
      if (!(await exists(file))) return [];
      const text = await readFile(await inside(file), 'utf8');
      const variables = readGitConfig(text);
      if (variables === undefined) throw risky(file, "this server can't read it with certainty");
      const bad = variables.find(isRisky);
      if (bad !== undefined) throw risky(file, `${showPath(shownName(bad))} could run a program or read other files`);
      for (const { key, value } of variables)
        if (key === 'core.worktree') await inside(path.resolve(path.dirname(file), value));
      return [{ text, variables, isSubmodule: ![own, shared].includes(path.dirname(file)) }];
    }),
  );
  return read.flat();
}

/** Returns the git folder of a work tree: `.git`, or the folder that a file of that name names. */
async function gitFolderOf(folder: string): Promise<string> {
  const file = path.join(folder, '.git');
  const found = await lstat(file);
  if (!found.isFile()) return file;
  const named = /^gitdir: ([^\n]*)\n?$/.exec(await readFile(file, 'utf8'))?.[1];
  if (named === undefined) throw risky(file, "this server can't read it with certainty");
  return path.resolve(folder, named.trim());
}

/** Finds the git folders of submodules, which may be nested. */
async function findSubmodules(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries.filter(({ name }) => name === 'config').map(({ parentPath }) => parentPath);
}

// A subsection can be a URL, with a password.
const shownName = ({ name, key }: GitVariable): string => (name.includes('//') ? key : name);

const exists = (file: string): Promise<boolean> =>
  lstat(file).then(
    () => true,
    () => false,
  );

const risky = (where: string, why: string): ToolError =>
  new ToolError(
    'invalid-file',
    `dstack would run git in a repository that this server refuses: ${showPath(where)}: ${why}. Nothing was run or sent.`,
    'The user can remove that setting, or name the repository by its URL. Show it to the user: it may come from somebody else.',
  );

/** One variable of a git configuration. `key` has no subsection and is in lower case, as in `remote.url`. */
interface GitVariable {
  readonly key: string;
  /** The full name, as in `remote.origin.url`. */
  readonly name: string;
  readonly value: string;
}

const HEADER = /^\[([a-z\d.-]+)(?:[ \t]+"((?:[^"\\]|\\.)*)")?[ \t]*\]/i;
const VARIABLE = /^([a-z][a-z\d-]*)[ \t]*(?:=(.*))?$/is;

/**
 * Reads a git configuration strictly. Returns undefined for a text that could be read in another way, such as one with a value that
 * continues on the next line.
 */
export function readGitConfig(text: string): readonly GitVariable[] | undefined {
  const variables: GitVariable[] = [];
  let section = '';
  let subsection: string | undefined;
  for (const line of text.replace(/^\uFEFF/, '').split('\n')) {
    let rest = trimStart(line);
    for (let header = HEADER.exec(rest); header !== null; header = HEADER.exec(rest)) {
      section = header[1] ?? '';
      subsection = header[2];
      rest = trimStart(rest.slice(header[0].length));
    }
    if (rest === '' || /^[#;]/.test(rest)) continue;
    const [, name, value = ''] = VARIABLE.exec(rest.replace(/[ \t\r]+$/, '')) ?? [];
    if (name === undefined || section === '' || value.endsWith('\\')) return undefined;
    variables.push({
      // `[remote.origin]` is an old way to write `[remote "origin"]`.
      key: `${section.split('.')[0]}.${name}`.toLowerCase(),
      name: [section, subsection, name].filter((part) => part !== undefined).join('.'),
      value: value.trim().replace(/^"([^"\\]*)"$/, '$1'),
    });
  }
  return variables;
}

// What git skips before a variable; more would be read differently.
const trimStart = (text: string): string => text.replace(/^[ \t\r]+/, '');

/** The last part of a name whose value is a program, or names one: git's own documentation has these, and their kinds. */
const PROGRAM =
  /(?:command|cmd|program|helper|hook|hookspath|proxy|editor|pager|askpass|filter|textconv|driver|agent)$|^(?:fsmonitor|clean|smudge|process|external|uploadpack|receivepack|uploadarchive|vcs)$/;

const BOOLEAN = /^(?:true|false|yes|no|on|off|1|0|)$/i;

/** Whether git may run a program, read another file or use another transport because of this variable. */
export function isRisky({ key, value }: GitVariable): boolean {
  const [section = '', last = ''] = key.split('.');
  if (/^(?:include|includeif|url|protocol)$/.test(section) || (section === 'lfs' && last === 'path')) return true;
  // `true` stands for git's own monitor.
  if (last === 'fsmonitor') return !BOOLEAN.test(value);
  if (section === 'submodule' && value.startsWith('!')) return true;
  if (/^(?:push)?url$/.test(last) && value.includes('::')) return true;
  return PROGRAM.test(last) && last !== 'partialclonefilter';
}
