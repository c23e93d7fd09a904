import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { formatBytes, plural } from '../core/values.ts';
import { showName } from '../render/untrusted.ts';
import { findPathProblem } from '../safety/files/workspace.ts';
import { STAGE_PREFIX } from './copy-scripts.ts';
import type { InRun } from './remote-shell.ts';

/** A regular file or a folder, by its path below the folder that is copied, with `/` between the parts. */
export interface TreeEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder';
  /** In bytes; 0 for a folder. */
  readonly size: number;
  readonly modifiedMs: number;
  readonly executable: boolean;
  /** Tells apart volumes: files can't be moved between them in one step. */
  readonly device: string;
}

/** Files and folders to copy, and what isn't copied with the reason. */
export interface Tree {
  readonly entries: readonly TreeEntry[];
  readonly leftOut: readonly LeftOut[];
}

export interface LeftOut {
  readonly name: string;
  readonly why: string;
}

/** The most of one call. */
export interface CopyLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** A copy in one direction, with its local path checked. */
export interface CopyRequest {
  /** Absolute, without links. */
  readonly local: string;
  readonly localKind: 'file' | 'folder' | 'missing';
  /** The local path ends with a separator, so that it names a folder. */
  readonly intoLocal: boolean;
  /** As it was passed: relative ones start in the working directory of the run. */
  readonly remote: string;
  readonly replace: boolean;
}

/** The result of a copy. */
export interface Copied {
  /** Absolute: of the file, or of the folder whose content was copied. */
  readonly local: string;
  readonly remote: string;
  readonly files: number;
  readonly bytes: number;
  /** Files that were the same. */
  readonly same: number;
  readonly leftOut: readonly LeftOut[];
  /** Local paths of the first small pictures among downloaded files, by their names. */
  readonly pictures: readonly string[];
  /** `size` if a file was large, or if the run has no program for checksums. */
  readonly checkedBy: 'sha256' | 'size';
}

/** The progress of a copy. */
export interface CopyState {
  readonly bytes: number;
  readonly ofBytes: number;
}

/** Everything that a copy needs in addition to its paths. */
export interface CopyScope extends InRun {
  readonly limits: CopyLimits;
  readonly onProgress: (state: CopyState) => void;
}

/** More entries can't be checked in a reasonable time: the same number as for the `files` of a plan. */
export const MAX_COPY_ENTRIES = 20_000;
const MAX_NAME_BYTES = 255;

/** Returns why a name can't be copied; undefined if it is fine. The name may have been chosen by a hostile program. */
function findNameProblem(name: string): string | undefined {
  const parts = name.split('/');
  if (parts.some((part) => part === '' || part === '.')) return 'it is not a plain relative path';
  if (name.includes('\\')) return 'it contains a backslash';
  if (name.includes('\ufffd')) return 'it is not valid UTF-8';
  if (parts.some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES))
    return `a part of it is longer than ${MAX_NAME_BYTES} bytes`;
  if (parts.some((part) => part.startsWith(STAGE_PREFIX))) return 'it is reserved for unfinished copies';
  // The dot: `model:v1` is a file here, and not a URL.
  return findPathProblem(`.${path.sep}${parts.join(path.sep)}`, process.platform);
}

/** @throws ToolError `invalid-file` for names that can't be copied, and for two that are one file where case is ignored */
export function assertNames(entries: readonly TreeEntry[], { ignoreCase }: { readonly ignoreCase: boolean }): void {
  const seen = new Map<string, string>();
  for (const { name } of entries) {
    const problem = findNameProblem(name);
    if (problem !== undefined) throw notCopied(`A file or folder can't be copied: ${problem}.`, [name]);
    const key = ignoreCase ? foldName(name) : name;
    const other = seen.get(key);
    if (other !== undefined)
      throw notCopied(
        other === name ? 'A file is listed twice.' : 'Two files have names that are the same on many computers.',
        [other, name],
      );
    seen.set(key, name);
  }
}

const notCopied = (message: string, names: readonly string[]): ToolError =>
  new ToolError(
    'invalid-file',
    `${message} Nothing was copied.`,
    'Rename it, or copy other files and folders one by one.',
    { untrusted: names.map(showName).join(' and ') },
  );

/** @throws ToolError `invalid-file` if there is more than one call may copy, with the largest files */
export function assertLimits({ entries }: Pick<Tree, 'entries'>, { maxEntries, maxBytes }: CopyLimits): void {
  if (entries.length > maxEntries) throw tooMany(maxEntries);
  const bytes = sumBytes(entries);
  if (bytes <= maxBytes) return;
  const largest = entries
    .toSorted((a, b) => b.size - a.size)
    .slice(0, 3)
    .map(({ name, size }) => `${showName(name)} (${formatBytes(size)})`);
  throw new ToolError(
    'invalid-file',
    `${plural(entries.length, 'file')} with ${formatBytes(bytes)} are more than the ${formatBytes(maxBytes)} that one call may copy. Nothing was copied.`,
    'Copy less. The operator sets the limit with DSTACK_MCP_MAX_COPY.',
    { untrusted: `The largest: ${largest.join(', ')}` },
  );
}

/** Refuses a folder with too many files. */
export const tooMany = (maxEntries: number): ToolError =>
  new ToolError(
    'invalid-file',
    `There are more than ${maxEntries} files and folders. Nothing was copied.`,
    'Copy a part of the folder, or pack it into one archive file first.',
  );

export const sumBytes = (entries: readonly Pick<TreeEntry, 'size'>[]): number =>
  entries.reduce((sum, { size }) => sum + size, 0);

/** Returns all folders that contain the entries, parents first, without the root. */
export function foldersOf(entries: readonly Pick<TreeEntry, 'name' | 'kind'>[]): readonly string[] {
  const folders = new Set<string>();
  for (const { name, kind } of entries) {
    const parts = name.split('/');
    const depth = kind === 'folder' ? parts.length : parts.length - 1;
    for (let length = 1; length <= depth; length++) folders.add(parts.slice(0, length).join('/'));
  }
  return [...folders].sort();
}

/** Returns the form of a name that file systems may treat as the same: some ignore case, and some know more forms of a letter. */
export const foldName = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Programs on this computer act on such files, so nothing that a run wrote may become one: config files are written by write_config. */
export const findActedOn = (name: string): string | undefined => whyActedOn(name) ?? whyActedOn(foldName(name));

function whyActedOn(name: string): string | undefined {
  const parts = name.split('/');
  const last = parts.at(-1) ?? '';
  if (parts.some((part) => part.startsWith('.') && part !== '..')) return 'its name begins with a dot';
  // Windows' short names, such as GIT~1, are other names of such files.
  if (parts.some((part) => /^[^.]*~\d/.test(part))) return "it may be another file's short name";
  if (/\.dstack\.ya?ml$/i.test(last)) return 'it is a dstack configuration, which write_config writes';
  if (/^(?:agents?|claude|codex|context|crush|gemini|qwen|vibe|warp)(?:\.\w+)*\.md$/i.test(last))
    return 'agents read it as instructions';
  if (/^(?:(?:opencode|crush)\.jsonc?|fast-?agent(?:\.\w+)*\.ya?ml)$/i.test(last))
    return 'agents read it as configuration';
  return undefined;
}

/** A file that exists at its place with another content. */
export interface Conflict {
  readonly name: string;
  /** It was changed after the one that would replace it. */
  readonly isNewer: boolean;
}

/** Files to copy, by what is at their place. */
export interface Compared<T> {
  readonly wanted: readonly T[];
  readonly conflicts: readonly Conflict[];
}

export interface Pair<T> {
  readonly file: T;
  readonly entry: TreeEntry;
  /** The file at its place; undefined if there is none. */
  readonly existing: { readonly size: number; readonly modifiedMs: number } | undefined;
}

/** Returns the checksums of files with these names, by name, on one side; undefined if that side has no program for it. */
export type Sums = (names: readonly string[]) => Promise<ReadonlyMap<string, string> | undefined>;

/** Compares files with those at their place by size and checksum. Without checksums, none is known to be the same. */
export async function compareTrees<T>(
  pairs: readonly Pair<T>[],
  sums: { readonly here: Sums; readonly there: Sums },
): Promise<Compared<T>> {
  const equalSize = pairs.filter(({ entry, existing }) => existing?.size === entry.size).map(({ entry }) => entry.name);
  const [here, there] = await Promise.all([sums.here(equalSize), sums.there(equalSize)]);
  const isSame = (name: string): boolean => here?.get(name) !== undefined && here.get(name) === there?.get(name);
  const differing = pairs.filter(({ entry }) => !isSame(entry.name));
  return {
    wanted: differing.map(({ file }) => file),
    conflicts: differing.flatMap(({ entry, existing }) =>
      existing === undefined ? [] : [{ name: entry.name, isNewer: existing.modifiedMs > entry.modifiedMs }],
    ),
  };
}

const SHOWN = 5;

/** @throws ToolError `file-exists` if files would be replaced and the call doesn't ask for it */
export function assertNoConflicts(conflicts: readonly Conflict[], { replace }: { readonly replace: boolean }): void {
  if (replace || conflicts.length === 0) return;
  const shown = conflicts
    .toSorted((a, b) => Number(b.isNewer) - Number(a.isNewer))
    .slice(0, SHOWN)
    .map(({ name, isNewer }) => `${showName(name)}${isNewer ? ' (newer than the one to copy)' : ''}`);
  const rest = conflicts.length - shown.length;
  throw new ToolError(
    'file-exists',
    `${plural(conflicts.length, 'file')} with other content would be replaced. Nothing was copied.`,
    'Copy to another place. If the user wants them replaced, call copy with `replace`.',
    { untrusted: `${shown.join(', ')}${rest === 0 ? '' : ` and ${rest} more`}` },
  );
}
