import { randomUUID } from 'node:crypto';
import { closeSync, createWriteStream, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createBoundedOutput } from './bounded-output.ts';

/** A private file that a process writes to: unlike a pipe it lets the process finish after this one has gone. */
export interface OutputFile {
  /** For the process to write to, by its descriptor. */
  readonly stream: Writable;
  /** What was written so far, its two ends when it is larger than `keepBytes`. */
  read(keepBytes: number): { readonly text: string; readonly omittedBytes: number };
  close(): void;
}

const CHUNK_BYTES = 65_536;

/** Opens a file that only this user can read, and that has no name any more where the platform allows it. */
export function openOutputFile(): OutputFile {
  const file = path.join(tmpdir(), `dstack-output-${randomUUID()}`);
  const fd = openSync(file, 'wx+', 0o600);
  let named = !tryUnlink(file);
  return {
    // A stream only because execa takes no descriptor above 9; nothing is ever written through it here.
    stream: createWriteStream(file, { fd, autoClose: false }),
    read(keepBytes) {
      const kept = createBoundedOutput(keepBytes);
      const chunk = Buffer.alloc(CHUNK_BYTES);
      // By position: the file's own offset is the writer's.
      const { size } = fstatSync(fd);
      for (let at = 0; at < size;) {
        const length = readSync(fd, chunk, 0, Math.min(CHUNK_BYTES, size - at), at);
        if (length === 0) break;
        kept.add(chunk.subarray(0, length));
        at += length;
      }
      return kept.finish();
    },
    close() {
      closeSync(fd);
      if (named) named = !tryUnlink(file);
    },
  };
}

/** Windows keeps the name of an open file: it goes when the file is closed. */
function tryUnlink(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch {
    return false;
  }
}
