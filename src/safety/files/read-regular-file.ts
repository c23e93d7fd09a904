import { constants } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { codeOf } from '../../core/system-error.ts';

/** The reason why a file wasn't read. */
export type ReadProblem = 'missing' | 'link' | 'not-regular' | 'too-large' | 'moved' | 'unreadable';

export type RegularFile =
  | { readonly kind: 'read'; readonly bytes: Buffer }
  | { readonly kind: ReadProblem; readonly reason: string };

/**
 * Reads a regular file through one descriptor: never follows a link at its end, never blocks on a pipe, never reads a device, and
 * detects a folder on the way that was replaced by a link. `realPath` must not contain links.
 */
export async function readRegularFile(realPath: string, maxBytes: number): Promise<RegularFile> {
  let handle: FileHandle;
  try {
    // O_NONBLOCK: opening a named pipe would wait for a writer. Windows has neither flag.
    handle = await open(realPath, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    return readProblemOf(error);
  }
  try {
    const opened = await handle.stat({ bigint: true });
    if (!opened.isFile()) return { kind: 'not-regular', reason: 'it is not a regular file' };
    if (opened.size > BigInt(maxBytes)) return { kind: 'too-large', reason: `it is larger than ${maxBytes} bytes` };
    const bytes = await readAtMost(handle, maxBytes + 1);
    // A file in /proc, or one that is being written, may contain more than its reported size.
    if (bytes.length > maxBytes) return { kind: 'too-large', reason: `it is larger than ${maxBytes} bytes` };
    const current = await stat(realPath, { bigint: true });
    const same = current.ino === opened.ino && current.dev === opened.dev && (await realpath(realPath)) === realPath;
    return same ? { kind: 'read', bytes } : { kind: 'moved', reason: 'it was replaced while it was being read' };
  } catch (error) {
    return readProblemOf(error);
  } finally {
    await handle.close();
  }
}

async function readAtMost(handle: FileHandle, maxBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(maxBytes);
  let length = 0;
  while (length < maxBytes) {
    const { bytesRead } = await handle.read(buffer, length, maxBytes - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  // A copy, so that the content of a small file doesn't retain the whole buffer.
  return Buffer.from(buffer.subarray(0, length));
}

function readProblemOf(error: unknown): { kind: ReadProblem; reason: string } {
  const code = codeOf(error) ?? 'unknown';
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing', reason: 'it does not exist' };
  if (code === 'ELOOP' || code === 'EMLINK') return { kind: 'link', reason: 'it is a link' };
  if (code === 'ENXIO' || code === 'ENODEV' || code === 'EISDIR')
    return { kind: 'not-regular', reason: 'it is not a regular file' };
  return { kind: 'unreadable', reason: `it can't be read (${code})` };
}
