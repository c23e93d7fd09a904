import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';

/** One entry of an archive that a run wrote. Nothing in it is trusted. */
export interface ArchiveEntry {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** Has to be read to its end before the next entry. Its chunks are bytes. */
  readonly content: AsyncIterable<unknown>;
}

/** For what follows the entries, up to a block of GNU's tar, and for what was read ahead of them. */
const SLACK_BYTES = 512 * 1024;
/** For the header of an entry and the rest of its last block. */
const ENTRY_BYTES = 2 * 1024;
/** A long name has its own block, and the command line that made the archive had room for fewer of them. */
const BYTES_PER_NAME_BYTE = 32;

/**
 * Reads an archive, or several that follow each other, entry by entry. Never touches the disk.
 * @throws Error for a damaged one, or one with much more than its entries
 */
export async function* readArchive(source: Readable): AsyncGenerator<ArchiveEntry> {
  const entries = extract();
  let left = SLACK_BYTES;
  source.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) entries.destroy(new Error('it has more than its files'));
  });
  source.on('error', (error) => entries.destroy(error));
  // A stream that is destroyed without an error just stops.
  source.on('close', () => {
    if (!source.readableEnded) entries.destroy(new Error('it ended early'));
  });
  source.pipe(entries);
  for await (const entry of entries) {
    const { name, type, size } = entry.header;
    left = Math.min(left, SLACK_BYTES) + size + ENTRY_BYTES + BYTES_PER_NAME_BYTE * name.length;
    yield { name, type: type ?? 'unknown', size, content: entry };
  }
}
