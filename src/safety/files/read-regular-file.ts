import type { FileHandle } from 'node:fs/promises';
import { codeOf } from '../../core/errors.ts';
import { openRegularFile } from './open-regular-file.ts';

/** The reason why a file wasn't read. */
export type ReadProblem = 'missing' | 'link' | 'not-regular' | 'too-large' | 'moved' | 'unreadable';

export type RegularFile =
  | { readonly kind: 'read'; readonly bytes: Buffer }
  | { readonly kind: ReadProblem; readonly reason: string };

const MISSING = { kind: 'missing', reason: 'it does not exist' } as const;
const LINK = { kind: 'link', reason: 'it is a link' } as const;
const NOT_REGULAR = { kind: 'not-regular', reason: 'it is not a regular file' } as const;

const PROBLEMS = new Map<string, { readonly kind: ReadProblem; readonly reason: string }>([
  ['ENOENT', MISSING],
  ['ENOTDIR', MISSING],
  ['ELOOP', LINK],
  ['EMLINK', LINK],
  ['ENXIO', NOT_REGULAR],
  ['ENODEV', NOT_REGULAR],
  ['EISDIR', NOT_REGULAR],
  ['NOT_REGULAR', NOT_REGULAR],
  ['MOVED', { kind: 'moved', reason: 'it was replaced while it was being read' }],
]);

/** Reads a file that `openRegularFile` opens, through one descriptor. `realPath` must not contain links. */
export async function readRegularFile(realPath: string, maxBytes: number): Promise<RegularFile> {
  try {
    const handle = await openRegularFile(realPath);
    // A file in /proc, or one that is being written, may contain more than its reported size.
    const bytes = await readAndClose(handle, maxBytes + 1);
    return bytes.length > maxBytes
      ? { kind: 'too-large', reason: `it is larger than ${maxBytes} bytes` }
      : { kind: 'read', bytes };
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    return PROBLEMS.get(code) ?? { kind: 'unreadable', reason: `it can't be read (${code})` };
  }
}

async function readAndClose(handle: FileHandle, maxBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(maxBytes);
  let length = 0;
  try {
    while (length < maxBytes) {
      const { bytesRead } = await handle.read(buffer, length, maxBytes - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
  } finally {
    await handle.close();
  }
  // A copy, so that the content of a small file doesn't retain the whole buffer.
  return Buffer.from(buffer.subarray(0, length));
}
