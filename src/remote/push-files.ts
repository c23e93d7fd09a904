import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import { sha256 } from '../core/values.ts';
import { PUSH, SCRIPT_EXIT } from './copy-scripts.ts';
import { sumBytes } from './copy-tree.ts';
import type { Copied, CopyScope, TreeEntry } from './copy-tree.ts';
import { isSentAlone } from './large-files.ts';
import type { LargeUpload } from './large-files.ts';
import { assertUnchanged, CHUNK_BYTES, openListed, readChunks } from './local-tree.ts';
import type { RemoteEnd } from './remote-shell.ts';
import { assertEnded, assertNotCanceled, collect } from './run-scripts.ts';
import { tarEnd, tarHeader, tarPadding } from './tar-writer.ts';

/** A local file, and its name below the target folder. */
export interface PushedFile {
  readonly entry: TreeEntry;
  /** Absolute, without links. */
  readonly place: string;
  readonly name: string;
}

export interface Push {
  /** In the run, absolute. */
  readonly folder: string;
  readonly replace: boolean;
  /** Parents first. */
  readonly folders: readonly string[];
  readonly files: readonly PushedFile[];
  readonly large: LargeUpload;
}

/** Uploads files, and has the run check them before they get their names. Returns what the run could check. */
export async function pushFiles(scope: CopyScope, push: Push): Promise<Copied['checkedBy']> {
  const { shell, signal } = scope;
  const { large, files } = push;
  const [only, ...rest] = files;
  const onlyName = only !== undefined && rest.length === 0 && push.folders.length === 0 ? only.name : '';
  const data = [push.folder, push.replace ? '-f' : '-n', large.stage, String(files.length), onlyName];
  const running = shell.start({ script: PUSH, data }, { signal });
  const errors = collect(running.stderr);
  const printed = collect(running.stdout);
  void running.ended.then(() => large.stop());
  const archive = Readable.from(writeArchive(scope, push), { objectMode: false, highWaterMark: CHUNK_BYTES });
  const failure: unknown = await pipeline(archive, running.stdin).then(
    () => undefined,
    (error: unknown) => error,
  );
  const isSent = failure === undefined;
  const isKnown = failure instanceof ToolError || failure instanceof CommandFailed;
  if (isKnown) running.kill();
  const end = await running.ended;
  if (isKnown) throw failure;
  assertKnown(end, isSent);
  assertNotCanceled(signal);
  assertEnded(end, errors(), mayBePlaced(end, isSent) ? 'Files that are in place are complete.' : undefined);
  const hasLarge = files.some(({ entry }) => isSentAlone(entry));
  return !hasLarge && printed().trim() === 'sha256' ? 'sha256' : 'size';
}

/** The exits of the program in the run before it moves anything to its place. */
const BEFORE_PLACING: ReadonlySet<number> = new Set([
  SCRIPT_EXIT.missingTool,
  SCRIPT_EXIT.cannotOpen,
  SCRIPT_EXIT.tarFailed,
  SCRIPT_EXIT.incomplete,
  SCRIPT_EXIT.different,
]);

const mayBePlaced = (end: RemoteEnd, isSent: boolean): boolean =>
  isSent && end.kind === 'exited' && !BEFORE_PLACING.has(end.exitCode);

/** @throws CommandFailed if the connection was lost when everything had been sent: then the run may have put it in place */
function assertKnown(end: RemoteEnd, isSent: boolean): void {
  if (end.kind !== 'lost' || !isSent) return;
  throw new CommandFailed({
    outcome: 'unknown',
    summary:
      "The connection to the run was lost after everything had been sent. It isn't known whether the files are in place; each that is, is complete.",
    printed: [],
    facts: { code: 'copy-failed' },
    next: 'Call copy again: files that are the same are skipped.',
  });
}

/** Small files are read at the same time, and sent in one piece. */
const SMALL_BYTES = 64 * 1024;
const BATCH = 32;

/** Writes the folders, the files, and last their checksums: an archive that ends early lacks them. */
async function* writeArchive(scope: CopyScope, { folders, files, large }: Push): AsyncGenerator<Buffer> {
  const ofBytes = sumBytes(files.map(({ entry }) => entry));
  const [sums, numbers]: [string[], string[]] = [[], []];
  let written = 0;
  let bytes = 0;
  const count = (piece: Buffer): Buffer => {
    written += piece.length;
    return piece;
  };
  const names = ['files', ...folders.map((name) => `files/${name}`)];
  yield count(Buffer.concat(names.map((name) => tarHeader({ ...FOLDER, name }))));
  for (const batch of batchFiles(files.filter(({ entry }) => !isSentAlone(entry)))) {
    const [first] = batch;
    const pieces =
      first !== undefined && first.entry.size > SMALL_BYTES ? readLarge(first, sums) : readSmall(batch, sums);
    for await (const piece of pieces) {
      yield count(piece.bytes);
      bytes += piece.content;
      scope.onProgress({ bytes, ofBytes });
    }
  }
  for (const file of files.filter(({ entry }) => isSentAlone(entry))) {
    const before = bytes;
    const onBytes = (own: number): void => scope.onProgress({ bytes: before + own, ofBytes });
    numbers.push(`${await large.send(file, onBytes)} ${file.entry.size} ${file.name}\n`);
    bytes += file.entry.size;
    scope.onProgress({ bytes, ofBytes });
    yield count(headerOf({ ...file, entry: { ...file.entry, size: 0 } }));
  }
  if (numbers.length > 0) yield count(listEntry('large', numbers));
  yield count(listEntry('sums', sums));
  yield tarEnd(written);
}

function listEntry(name: string, lines: readonly string[]): Buffer {
  const list = Buffer.from(lines.join(''));
  const header = tarHeader({ name, kind: 'file', size: list.length, modifiedMs: 0, executable: false });
  return Buffer.concat([header, list, tarPadding(list.length)]);
}

const FOLDER = { kind: 'folder', size: 0, modifiedMs: 0, executable: false } as const;

/** A part of the archive, with the number of bytes of files in it. */
interface Piece {
  readonly bytes: Buffer;
  readonly content: number;
}

function batchFiles(files: readonly PushedFile[]): readonly (readonly PushedFile[])[] {
  const batches: PushedFile[][] = [];
  let small: PushedFile[] = [];
  for (const file of files) {
    if (file.entry.size > SMALL_BYTES) batches.push([file]);
    else {
      if (small.length === 0) batches.push(small);
      small.push(file);
      if (small.length === BATCH) small = [];
    }
  }
  return batches;
}

async function* readSmall(batch: readonly PushedFile[], sums: string[]): AsyncGenerator<Piece> {
  const contents = await Promise.all(
    batch.map(async ({ entry, place }) => {
      const chunks: Buffer[] = [];
      for await (const chunk of readUnchanged(place, entry)) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    }),
  );
  const parts = batch.flatMap((file, at) => {
    const content = contents[at] ?? Buffer.alloc(0);
    sums.push(sumLine(file, sha256(content)));
    return [headerOf(file), content, tarPadding(content.length)];
  });
  yield { bytes: Buffer.concat(parts), content: contents.reduce((sum, { length }) => sum + length, 0) };
}

async function* readLarge(file: PushedFile, sums: string[]): AsyncGenerator<Piece> {
  const hash = createHash('sha256');
  yield { bytes: headerOf(file), content: 0 };
  for await (const chunk of readUnchanged(file.place, file.entry)) {
    hash.update(chunk);
    yield { bytes: chunk, content: chunk.length };
  }
  sums.push(sumLine(file, hash.digest('hex')));
  yield { bytes: tarPadding(file.entry.size), content: 0 };
}

const headerOf = ({ entry, name }: PushedFile): Buffer => tarHeader({ ...entry, name: `files/${name}` });
const sumLine = ({ name }: PushedFile, sum: string): string => `${sum}  ./${name}\n`;

/** Reads exactly the listed size. @throws ToolError `plan-changed` if the file is another one, or was written to */
async function* readUnchanged(place: string, entry: TreeEntry): AsyncGenerator<Buffer> {
  const handle = await openListed(place, entry);
  try {
    // Whatever its end is: a file of another size is not the listed one.
    yield* readChunks(handle, entry.size);
    await assertUnchanged(handle, entry);
  } finally {
    await handle.close();
  }
}
