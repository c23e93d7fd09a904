import { createHash } from 'node:crypto';
import { open, utimes, writeFile } from 'node:fs/promises';
import { messageOf, ToolError } from '../core/errors.ts';
import { sha256 } from '../core/values.ts';
import { cleanLine, showName } from '../render/untrusted.ts';
import type { ArchiveEntry } from './archive-reader.ts';
import { PULL } from './copy-scripts.ts';
import { sumBytes } from './copy-tree.ts';
import type { CopyScope, TreeEntry } from './copy-tree.ts';
import { isLarge, receiveLarge } from './large-files.ts';
import { changed } from './local-tree.ts';
import { assertEnded, assertNotCanceled, collect } from './run-scripts.ts';
import { asCopyError, assertSpace } from './stage.ts';
import type { Stage } from './stage.ts';

/** A larger file is written as it arrives. */
const SMALL_BYTES = 256 * 1024;
const WRITTEN_BYTES = 1024 * 1024;
/** Small files that are written at the same time. */
const PARALLEL = 16;

/**
 * Downloads files of a folder into a staging folder, each under its number, and returns the checksums of those that aren't large, by name.
 * The archive is hostile data: it may contain exactly the regular files that were asked for, each once and with the size that was listed.
 */
export async function pullFiles(
  scope: CopyScope,
  folder: string,
  { files, stage }: { readonly files: readonly TreeEntry[]; readonly stage: Stage },
): Promise<ReadonlyMap<string, string>> {
  const writer = new StageWriter(scope, files, stage);
  const small = files.filter((entry) => !isLarge(entry));
  if (small.length > 0) await pullArchive(scope, folder, { files: small, writer });
  for (const entry of files.filter(isLarge)) await writer.addLarge(entry, folder);
  return writer.finish();
}

async function pullArchive(
  { shell, signal }: CopyScope,
  folder: string,
  { files, writer }: { readonly files: readonly TreeEntry[]; readonly writer: StageWriter },
): Promise<void> {
  const { readArchive } = await import('./archive-reader.ts');
  const running = shell.start({ script: PULL, data: [folder] }, { signal });
  const errors = collect(running.stderr);
  running.stdin.on('error', () => undefined);
  running.stdin.end(files.map(({ name }) => `./${name}\n`).join(''));
  try {
    for await (const entry of readArchive(running.stdout)) await writer.add(entry);
  } catch (error) {
    const isOver = running.stdout.readableEnded || running.stdout.destroyed;
    running.kill();
    await writer.settle();
    assertNotCanceled(signal);
    // The connection may be the reason for an archive that ended early.
    const end = await running.ended;
    if (isOver && !(error instanceof ToolError)) assertEnded(end, errors());
    throw error instanceof ToolError ? error : damaged(messageOf(error));
  }
  await writer.settle();
  const end = await running.ended;
  assertNotCanceled(signal);
  assertEnded(end, errors());
}

class StageWriter {
  readonly #scope: CopyScope;
  readonly #stage: Stage;
  readonly #missing: Map<string, { readonly entry: TreeEntry; readonly number: number }>;
  readonly #sums = new Map<string, string>();
  readonly #writing = new Set<Promise<void>>();
  readonly #total: number;
  #bytes = 0;
  #failure: unknown;

  constructor(scope: CopyScope, files: readonly TreeEntry[], stage: Stage) {
    this.#scope = scope;
    this.#stage = stage;
    this.#missing = new Map(files.map((entry, number) => [entry.name, { entry, number }]));
    this.#total = sumBytes(files);
  }

  /** Writes one entry. @throws ToolError `invalid-file` for anything but a file that was asked for */
  async add({ name, type, size, content }: ArchiveEntry): Promise<void> {
    const asked = name.startsWith('./') ? name.slice(2) : name;
    const found = this.#missing.get(asked);
    if (found === undefined || type !== 'file') throw unexpected(name, type);
    this.#missing.delete(asked);
    const { entry, number } = found;
    if (size !== entry.size) throw changed(asked);
    const file = this.#stage.file(number);
    if (size > SMALL_BYTES) await this.#writeLarge(file, entry, content);
    else await this.#writeSmall(file, entry, content);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Has a large file written by ssh itself. */
  async addLarge(entry: TreeEntry, folder: string): Promise<void> {
    const found = this.#missing.get(entry.name);
    if (found === undefined) throw changed(entry.name);
    this.#missing.delete(entry.name);
    const file = this.#stage.file(found.number);
    const before = this.#bytes;
    const onBytes = (own: number): void => this.#count(before + own - this.#bytes);
    const handle = await open(file, 'wx+', 0o644).catch((error: unknown) => {
      throw asCopyError(error, file);
    });
    try {
      await receiveLarge(this.#scope, folder, { handle, entry, onBytes });
    } catch (error) {
      assertNotCanceled(this.#scope.signal);
      await assertSpace(file);
      throw error;
    } finally {
      await handle.close();
    }
    await setTime(file, entry);
  }

  async #writeLarge(file: string, entry: TreeEntry, content: AsyncIterable<unknown>): Promise<void> {
    const hash = createHash('sha256');
    const handle = await open(file, 'wx', 0o644).catch((error: unknown) => {
      throw asCopyError(error, file);
    });
    try {
      let pieces: Buffer[] = [];
      let size = 0;
      for await (const chunk of content) {
        const bytes = toBytes(chunk);
        hash.update(bytes);
        pieces.push(bytes);
        size += bytes.length;
        this.#count(bytes.length);
        if (size < WRITTEN_BYTES) continue;
        await handle.writev(pieces);
        [pieces, size] = [[], 0];
      }
      if (pieces.length > 0) await handle.writev(pieces);
    } catch (error) {
      throw asCopyError(error, file);
    } finally {
      await handle.close();
    }
    await setTime(file, entry);
    this.#sums.set(entry.name, hash.digest('hex'));
  }

  async #writeSmall(file: string, entry: TreeEntry, content: AsyncIterable<unknown>): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(toBytes(chunk));
    const bytes = Buffer.concat(chunks);
    this.#sums.set(entry.name, sha256(bytes));
    this.#count(bytes.length);
    const writing = writeFile(file, bytes, { flag: 'wx', mode: 0o644 })
      .then(() => setTime(file, entry))
      .catch((error: unknown) => {
        this.#failure ??= asCopyError(error, file);
      })
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
    if (this.#writing.size >= PARALLEL) await Promise.race(this.#writing);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#scope.onProgress({ bytes: this.#bytes, ofBytes: this.#total });
  }

  /** Waits until nothing is being written. */
  async settle(): Promise<void> {
    await Promise.all(this.#writing);
  }

  /** Returns the checksums of what came in archives. @throws ToolError if a file is missing */
  finish(): ReadonlyMap<string, string> {
    if (this.#failure !== undefined) throw this.#failure;
    const [missing] = this.#missing.keys();
    if (missing !== undefined) throw changed(missing);
    return this.#sums;
  }
}

function toBytes(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  throw new TypeError('An archive has bytes.');
}

/** A time in the future, or long ago, is a file's that nothing can be concluded from. */
async function setTime(file: string, { modifiedMs }: TreeEntry): Promise<void> {
  const seconds = Math.min(Math.max(0, modifiedMs), Date.now()) / 1_000;
  await utimes(file, seconds, seconds);
}

const unexpected = (name: string, type: string): ToolError =>
  new ToolError(
    'invalid-file',
    "The run sent something that isn't a file that was asked for. Nothing was copied.",
    'Tell the user: a program in the run, or a file that was just replaced, is the reason.',
    { untrusted: `${showName(name)} (${cleanLine(type, 30)})` },
  );

const damaged = (why: string): ToolError =>
  new ToolError(
    'invalid-file',
    `The run sent a damaged archive (${cleanLine(why, 200)}). Nothing was copied.`,
    'Call copy again. If it happens again, tell the user.',
  );
