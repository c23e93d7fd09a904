import path from 'node:path';
import pLimit from 'p-limit';
import { ToolError } from '../core/errors.ts';
import { plural } from '../core/values.ts';
import { showName } from '../render/untrusted.ts';
import {
  assertLimits,
  assertNames,
  assertNoConflicts,
  compareTrees,
  findActedOn,
  foldersOf,
  sumBytes,
} from './copy-tree.ts';
import type { Compared, Copied, CopyRequest, CopyScope, Tree, TreeEntry } from './copy-tree.ts';
import { isLarge } from './large-files.ts';
import { look, sumFiles } from './run-scripts.ts';
import { changed, sumLocalFiles } from './local-tree.ts';
import { pullFiles } from './pull-files.ts';
import { assertFolder, createStage, makeFolder, putInPlace, readBefore } from './stage.ts';
import type { Before, Stage } from './stage.ts';

/** A file or folder of the run, and its place on this computer. */
interface Source {
  readonly kind: 'file' | 'folder';
  /** Absolute. */
  readonly remote: string;
  /** The folder in the run that names are relative to. */
  readonly base: string;
  readonly tree: Tree;
  /** The path of the file, or of the folder for the content. */
  readonly target: string;
  readonly placeOf: (name: string) => string;
}

export interface DownloadScope extends CopyScope {
  /** Decides about a download from a place with secrets. @throws if it isn't allowed */
  readonly allowSecrets: (why: string) => Promise<void>;
}

/** Folders whose files tell the variables of a run, or what else its system keeps for itself. */
const SECRET_FOLDERS = ['/dstack', '/proc', '/sys', '/dev', '/run', '/var/run', '/etc'];

/** Returns why something of a source may be secret, in words of this server. Names in a folder that begin with a dot are left out anyway. */
function findSecretPlace({ base, tree }: Source): string | undefined {
  const places = tree.entries.map(({ name }) => path.posix.join(base, name));
  if ([base, ...places].some((place) => place.includes('/.'))) return 'a name in its path begins with a dot';
  const folder = SECRET_FOLDERS.find((one) => [base, ...places].some((place) => `${place}/`.startsWith(`${one}/`)));
  return folder === undefined ? undefined : `it is in ${folder}`;
}

/** Files that are compared, or put in place, at the same time. */
const PARALLEL = 16;

/** One file to download. */
interface Wanted {
  readonly entry: TreeEntry;
  readonly place: string;
  readonly before: Before;
}

/**
 * Downloads a file, or the content of a folder. Nothing unfinished has a final name, and nothing that a run sent decides where a file is
 * written. @throws ToolError, CommandFailed
 */
export async function download(scope: DownloadScope, request: CopyRequest): Promise<Copied> {
  const source = await findSource(scope, request);
  const why = findSecretPlace(source);
  if (why !== undefined) await scope.allowSecrets(why);
  const { kind, tree, target, remote } = source;
  assertNames(tree.entries, { ignoreCase: true });
  assertLimits(tree, scope.limits);
  const folders = kind === 'file' ? [] : foldersOf(tree.entries).map((name) => source.placeOf(name));
  if (kind === 'folder') for (const folder of [target, ...folders]) await assertFolder(folder);
  const { wanted, conflicts } = await compare(scope, source);
  assertNoConflicts(conflicts, request);
  const copied = { remote, local: target, leftOut: tree.leftOut, pictures: findPictures(source) };
  const same = tree.entries.filter((entry) => entry.kind === 'file').length - wanted.length;
  const bytes = sumBytes(wanted.map(({ entry }) => entry));
  const stage = await createStage(target, bytes);
  try {
    const checkedBy = await fetchFiles(scope, source, { wanted, stage });
    // Only now, so that a copy that fails leaves no folder.
    const parents = kind === 'file' ? [path.dirname(target)] : [target, ...folders];
    await place(parents, wanted, stage);
    return { ...copied, files: wanted.length, bytes, same, checkedBy };
  } finally {
    await stage.remove();
  }
}

async function findSource(scope: CopyScope, { remote, local, localKind, intoLocal }: CopyRequest): Promise<Source> {
  const { kind, path: real, entry, tree: found } = await look(scope, remote, scope.limits.maxEntries);
  if (kind === 'missing') throw notFound(remote, real);
  if (kind === 'other')
    throw new ToolError(
      'invalid-file',
      `${remote} is neither a file nor a folder in the run. Nothing was copied.`,
      'Copy a regular file or a folder.',
    );
  if (kind === 'folder') {
    if (localKind === 'file')
      throw new ToolError(
        'invalid-file',
        `${local} is a file, and ${remote} is a folder. Nothing was copied.`,
        'Use a folder for `local`.',
      );
    const placeOf = (name: string): string => path.join(local, ...name.split('/'));
    return { kind, remote: real, base: real, tree: found, target: local, placeOf };
  }
  // The name that was asked for: a link in the run has another one than its file.
  const target = localKind === 'folder' || intoLocal ? path.join(local, path.posix.basename(remote)) : local;
  assertPlace(path.basename(target));
  const name = path.posix.basename(real);
  const tree = { entries: [{ ...entry, name, kind }], leftOut: [] };
  return { kind, remote: real, base: path.posix.dirname(real), tree, target, placeOf: () => target };
}

const notFound = (remote: string, real: string): ToolError =>
  new ToolError(
    'file-not-found',
    `There is no ${remote} in the run. Nothing was copied.`,
    'Relative paths start in the working directory of the run. exec with "ls" lists a folder.',
    remote === real ? {} : { untrusted: showName(real) },
  );

/** @throws ToolError `invalid-file` if programs on this computer would act on a file at this path */
export function assertPlace(relativePath: string): void {
  const why = findActedOn(relativePath.split(path.sep).join('/'));
  if (why === undefined) return;
  throw new ToolError(
    'invalid-file',
    `Nothing from a run is copied to ${JSON.stringify(relativePath)}: ${why}. Nothing was copied.`,
    'Use another name for `local`.',
  );
}

/** A larger one costs a model more than it shows. */
export const MAX_PICTURE_BYTES = 500_000;
const MAX_PICTURES = 3;

const findPictures = ({ tree, placeOf }: Source): readonly string[] =>
  tree.entries
    .filter(
      ({ kind, name, size }) => kind === 'file' && size <= MAX_PICTURE_BYTES && /\.(?:png|jpe?g|gif|webp)$/i.test(name),
    )
    .slice(0, MAX_PICTURES)
    .map(({ name }) => placeOf(name));

async function compare(scope: CopyScope, { base, tree, placeOf }: Source): Promise<Compared<Wanted>> {
  const files = tree.entries.filter(({ kind }) => kind === 'file');
  const pairs = await pLimit(PARALLEL).map(files, async (entry) => {
    const place = placeOf(entry.name);
    const before = await readBefore(place);
    const existing =
      before === undefined ? undefined : { size: Number(before.size), modifiedMs: Number(before.mtimeNs / 1_000_000n) };
    return { file: { entry, place, before }, entry, existing };
  });
  return compareTrees(pairs, {
    here: (names) => sumLocalFiles(names, placeOf, scope.signal),
    there: (names) => sumFiles(scope, base, names),
  });
}

/** Downloads files into the staging folder, and compares those that aren't large with the run's. Returns what could be compared. */
async function fetchFiles(
  scope: CopyScope,
  { base }: Source,
  { wanted, stage }: { readonly wanted: readonly Wanted[]; readonly stage: Stage },
): Promise<Copied['checkedBy']> {
  if (wanted.length === 0) return 'sha256';
  const files = wanted.map(({ entry }) => entry);
  const names = files.filter((entry) => !isLarge(entry)).map(({ name }) => name);
  const failed = new AbortController();
  const both = { ...scope, signal: AbortSignal.any([scope.signal, failed.signal]) };
  try {
    // At the same time: a file that is written to meanwhile differs in one of both.
    const [here, there] = await Promise.all([pullFiles(both, base, { files, stage }), sumFiles(both, base, names)]);
    if (there === undefined) return 'size';
    const differing = names.find((name) => here.get(name) !== there.get(name));
    if (differing !== undefined) throw changed(differing);
    return names.length === files.length ? 'sha256' : 'size';
  } finally {
    failed.abort();
  }
}

async function place(folders: readonly string[], wanted: readonly Wanted[], stage: Stage): Promise<void> {
  let placed = 0;
  try {
    for (const folder of folders) await makeFolder(folder);
    const failed = new AbortController();
    await pLimit(PARALLEL).map(wanted, async ({ place: file, before }, number) => {
      if (failed.signal.aborted) return;
      try {
        await putInPlace({ staged: stage.file(number), place: file, before });
        placed += 1;
      } catch (error) {
        failed.abort(error);
      }
    });
    failed.signal.throwIfAborted();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const rest = `${placed} of ${plural(wanted.length, 'file')} were put in place, each complete; the others weren't.`;
    throw new ToolError(error.code, `${error.message} ${rest}`, error.hint, {
      cause: error,
      untrusted: error.untrusted,
    });
  }
}
