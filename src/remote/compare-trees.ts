import { ToolError } from '../core/errors.ts';
import { plural } from '../core/format-values.ts';
import { showName } from './copy-tree.ts';
import type { TreeEntry } from './copy-tree.ts';

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
