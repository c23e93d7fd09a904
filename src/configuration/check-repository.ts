import { lstat, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { sha256 } from '../core/values.ts';
import { resolveNamedPath } from '../safety/files/named-path.ts';
import type { PathScope } from '../safety/files/named-path.ts';
import { isRisky, readGitConfig } from './git-config.ts';
import type { GitVariable } from './git-config.ts';

/** A local repository that dstack's git may read. */
export interface CheckedRepository {
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
      if (bad !== undefined) throw risky(file, `${shownName(bad)} could run a program or read other files`);
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
    `dstack would run git in a repository that this server refuses: ${where}: ${why}. Nothing was run or sent.`,
    'The user can remove that setting, or name the repository by its URL. Show it to the user: it may come from somebody else.',
  );
