import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';
import { containsPath } from '../../core/paths.ts';
import { showName, showPath } from '../../render/untrusted.ts';
import { isSystemPath, resolveLinks } from './workspace.ts';

/** The folders that resolve the paths in a configuration. */
export interface PathScope {
  /** The folder that relative paths start from. */
  readonly base: string;
  /** The folders of the workspace. */
  readonly folders: readonly string[];
  /** The home folder of dstack's process. */
  readonly home: string;
  /** Folders that nothing is read from, even in the workspace. */
  readonly never?: readonly string[];
}

/** A path that a configuration names, resolved as dstack does. */
export interface ResolvedPath {
  /** As dstack opens it. */
  readonly path: string;
  /** Without links. */
  readonly realPath: string;
}

/**
 * Resolves a path that dstack is about to read, as dstack does: `~`, relative paths, and every link.
 * @throws ToolError `outside-workspace` if it isn't in the workspace, or could be read in two ways; `policy` if it is never read
 */
export async function resolveNamedPath(text: string, scope: PathScope): Promise<ResolvedPath> {
  const resolved = await resolveAnywhere(text, scope);
  if (await isInside(resolved, scope.folders)) return resolved;
  throw outside(text, `it leads to ${showPath(resolved.realPath)}, which is outside the workspace`, scope.folders);
}

/** Whether a path is one of the folders, or in one of them. */
export async function isInside({ realPath }: ResolvedPath, folders: readonly string[]): Promise<boolean> {
  const resolved = await Promise.all(folders.map((folder) => resolveLinks(folder)));
  return resolved.some((folder) => containsPath(folder.realPath, realPath));
}

/**
 * Resolves the same, wherever it leads: for what needs consent anyway.
 * @throws ToolError `outside-workspace` if it could be read in two ways, or is in a folder of devices; `policy` if it is never read
 */
export async function resolveAnywhere(text: string, scope: PathScope): Promise<ResolvedPath> {
  const { base, folders, home, never = [] } = scope;
  const expanded = expandHome(text, home);
  if (expanded === undefined) throw outside(text, "another user's home folder is not read", folders);
  const named = path.isAbsolute(expanded) ? expanded : `${base}${path.sep}${expanded}`;
  const { realPath } = await resolveLinks(named);
  // After a link, `..` is a different folder for the kernel than for string operations, and dstack uses both.
  const byKernel = await realpath(named).catch(() => undefined);
  if (byKernel !== undefined && byKernel !== realPath)
    throw outside(text, 'its `..` after a link leads to two different places', folders);
  if (isSystemPath(realPath))
    throw outside(text, `it leads to ${showPath(realPath)}, a folder of devices or processes`, folders);
  const resolved = { path: path.resolve(named), realPath };
  if (await isInside(resolved, never)) throw neverSent(showPath(realPath));
  return resolved;
}

/** Expands a leading `~`, which Python's `Path` recognizes after `./` as well. Undefined for the home folder of another user. */
function expandHome(text: string, home: string): string | undefined {
  if (path.isAbsolute(text)) return text;
  const [first, ...rest] = text.split(path.sep === '\\' ? /[\\/]/ : '/').filter((part) => part !== '' && part !== '.');
  if (first === '~') return [home, ...rest].join(path.sep);
  return first?.startsWith('~') === true ? undefined : text;
}

/** Creates the refusal of a path that dstack would read. */
export const outside = (text: string, why: string, folders: readonly string[]): ToolError =>
  new ToolError(
    'outside-workspace',
    `The configuration names ${showName(text)}: ${why}. Nothing was run or sent.`,
    `dstack may read only from ${folders.map(showPath).join(', ')}. Use a path inside, or ask the user to add the folder to DSTACK_MCP_WORKSPACE.`,
  );

/** Creates the refusal of something that planning would send or contact. */
export const neverSent = (what: string): ToolError =>
  new ToolError(
    'policy',
    `The operator's policy never sends or contacts ${what}. Nothing was run or sent.`,
    'Use a configuration without it, or tell the user what the policy says; doctor shows the whole policy.',
  );
