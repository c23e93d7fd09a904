import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { showName } from '../render/untrusted.ts';
import { assertLimits, assertNames, assertNoConflicts, compareTrees, foldersOf, sumBytes } from './copy-tree.ts';
import type { Compared, Copied, CopyLimits, CopyRequest, CopyScope, Tree, TreeEntry } from './copy-tree.ts';
import { lookFor, sumFiles } from './run-scripts.ts';
import type { StatLine } from './run-scripts.ts';
import { changed, listLocalFolder, readLocalEntry, sumLocalFiles } from './local-tree.ts';
import type { Walk } from './local-tree.ts';
import { isSentAlone, LargeUpload } from './large-files.ts';
import { pushFiles } from './push-files.ts';

/** A checked local file or folder to upload. */
export interface UploadSource {
  readonly kind: 'file' | 'folder';
  readonly local: string;
  readonly tree: Tree;
  /** Returns the absolute path of an entry. */
  readonly placeOf: (name: string) => string;
}

/** Lists what an upload would send, and checks it, before anything is looked up in the run. @throws ToolError */
export async function findUpload(
  scope: { readonly walk: Walk; readonly limits: CopyLimits },
  request: CopyRequest,
): Promise<UploadSource> {
  const { local, localKind } = request;
  if (localKind === 'missing')
    throw new ToolError(
      'file-not-found',
      `There is no ${local}. Nothing was copied.`,
      'Pass a path in the workspace for `local`; doctor shows its folders.',
    );
  const source =
    localKind === 'folder'
      ? {
          kind: localKind,
          local,
          tree: await listLocalFolder(local, scope.walk, scope.limits.maxEntries),
          placeOf: (name: string) => path.join(local, ...name.split('/')),
        }
      : { kind: localKind, local, tree: await readFile(local), placeOf: () => local };
  assertNames(source.tree.entries, { ignoreCase: false });
  assertLimits(source.tree, scope.limits);
  return source;
}

async function readFile(local: string): Promise<Tree> {
  const entry = await readLocalEntry(path.dirname(local), path.basename(local));
  if (typeof entry === 'string') throw changed(entry);
  if ('why' in entry || entry.kind !== 'file')
    throw new ToolError(
      'invalid-file',
      `${local} isn't copied: ${'why' in entry ? entry.why : 'it is a folder'}. Nothing was copied.`,
      'Copy another file. Variables for a run belong in `env` of its configuration.',
    );
  return { entries: [entry], leftOut: [] };
}

/**
 * Uploads a file, or the content of a folder. Nothing unfinished has a final name in the run, and nothing there is replaced unless the
 * call asks for it. @throws ToolError, CommandFailed
 */
export async function upload(scope: CopyScope, source: UploadSource, request: CopyRequest): Promise<Copied> {
  const large = new LargeUpload(scope, request.remote);
  const first = source.tree.entries.find((entry) => entry.kind === 'file' && isSentAlone(entry));
  await large.startEarly(first && { entry: first, place: source.placeOf(first.name) });
  try {
    return await uploadWanted(scope, { ...source, large }, request);
  } catch (error) {
    await large.discard();
    throw error;
  }
}

async function uploadWanted(
  scope: CopyScope,
  { large, ...source }: UploadSource & { readonly large: LargeUpload },
  request: CopyRequest,
): Promise<Copied> {
  const { tree, local } = source;
  const target = await findTarget(scope, source, request.remote);
  const { folder, remote, rename, existing } = target;
  large.stopEarly(({ name, size }) => existing.get(rename(name))?.size === size);
  const files = tree.entries.filter((entry) => entry.kind === 'file');
  const { wanted, conflicts } = await compare(scope, source, target);
  assertNoConflicts(conflicts, request);
  const copied = { local, remote, leftOut: tree.leftOut, pictures: [] };
  const folders = foldersOf(tree.entries);
  const isNothing = wanted.length === 0 && (files.length > 0 || folders.length === 0);
  const checkedBy = isNothing
    ? 'sha256'
    : await pushFiles(scope, {
        folder,
        replace: request.replace,
        folders,
        files: wanted.map((entry) => ({ entry, place: source.placeOf(entry.name), name: rename(entry.name) })),
        large,
      });
  if (isNothing) await large.discard();
  return { ...copied, files: wanted.length, bytes: sumBytes(wanted), same: files.length - wanted.length, checkedBy };
}

interface Target {
  /** The folder in the run that names are relative to. It may be missing. */
  readonly folder: string;
  readonly remote: string;
  /** Returns the name of an entry in the run. */
  readonly rename: (name: string) => string;
  /** Everything at the place of an entry, by its name in the run. */
  readonly existing: ReadonlyMap<string, StatLine>;
}

async function findTarget(scope: CopyScope, { kind, tree, local }: UploadSource, remote: string): Promise<Target> {
  const { entries } = tree;
  const names = kind === 'folder' ? [...foldersOf(entries), ...namesOfFiles(entries)] : [path.basename(local)];
  const { existing, ...found } = await lookFor(scope, remote, names);
  if (found.kind === 'other' || (found.kind === 'file' && kind === 'folder'))
    throw new ToolError(
      'invalid-file',
      `${remote} exists in the run and isn't a ${kind}. Nothing was copied.`,
      'Use another path for `remote`.',
      { untrusted: showName(found.path) },
    );
  if (kind === 'folder') {
    assertFolders(found.path, foldersOf(entries), { existing, device: found.entry.device });
    return { folder: found.path, remote: found.path, rename: (name) => name, existing };
  }
  const isInto = found.kind === 'folder' || (found.kind === 'missing' && remote.endsWith('/'));
  const target = isInto ? path.posix.join(found.path, path.basename(local)) : found.path;
  const name = path.posix.basename(target);
  const file = found.kind === 'file' ? new Map([[name, found.entry]]) : existing;
  return { folder: path.posix.dirname(target), remote: target, rename: () => name, existing: file };
}

const namesOfFiles = (entries: readonly TreeEntry[]): readonly string[] =>
  entries.filter(({ kind }) => kind === 'file').map(({ name }) => name);

/** @throws ToolError for a link, a file, or another volume in the place of a folder */
function assertFolders(
  folder: string,
  names: readonly string[],
  { existing, device }: Pick<Target, 'existing'> & { readonly device: string },
): void {
  for (const name of names) {
    const found = existing.get(name);
    if (found !== undefined && found.kind !== 'folder') throw inTheWay(folder, name, `is a ${found.kind}`);
    if (found !== undefined && found.device !== device) throw inTheWay(folder, name, 'is another volume');
  }
}

/** Compares with what is in the run. @throws ToolError for something else in the place of a file */
async function compare(
  scope: CopyScope,
  source: UploadSource,
  { folder, rename, existing }: Target,
): Promise<Compared<TreeEntry>> {
  const files = source.tree.entries.filter(({ kind }) => kind === 'file');
  const pairs = files.map((entry) => {
    const found = existing.get(rename(entry.name));
    if (found !== undefined && found.kind !== 'file') throw inTheWay(folder, rename(entry.name), `is a ${found.kind}`);
    return { file: entry, entry, existing: found };
  });
  return compareTrees(pairs, {
    here: (chosen) => sumLocalFiles(chosen, source.placeOf, scope.signal),
    there: async (chosen) => {
      const sums = await sumFiles(scope, folder, chosen.map(rename));
      return sums && new Map(chosen.flatMap((name) => pairOf(name, sums.get(rename(name)))));
    },
  });
}

const pairOf = (name: string, sum: string | undefined): [string, string][] => (sum === undefined ? [] : [[name, sum]]);

const inTheWay = (folder: string, name: string, what: string): ToolError =>
  new ToolError(
    'invalid-file',
    `A path in the run ${what}, which is never overwritten or followed. Nothing was copied.`,
    'Use another path for `remote`, or copy into that folder directly.',
    { untrusted: showName(`${folder}/${name}`) },
  );
