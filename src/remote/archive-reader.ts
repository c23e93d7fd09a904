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

/** Reads an archive, or several that follow each other, entry by entry. Never touches the disk. @throws Error for a damaged one */
export async function* readArchive(source: Readable): AsyncGenerator<ArchiveEntry> {
  const entries = extract();
  source.on('error', (error) => entries.destroy(error));
  // A stream that is destroyed without an error just stops.
  source.on('close', () => {
    if (!source.readableEnded) entries.destroy(new Error('it ended early'));
  });
  source.pipe(entries);
  for await (const entry of entries) {
    const { name, type, size } = entry.header;
    yield { name, type: type ?? 'unknown', size, content: entry };
  }
}
