import { open, rename, stat, truncate, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { isMissing } from './attachment-store.ts';

const HEAD_BYTES = 256 * 1024;
const TAIL_BYTES = 16 * 1024;

/** The output of an attachment as far as it is looked at: its beginning, and its end where that isn't within the beginning. */
export interface OutputView {
  readonly head: string;
  readonly tail: string;
  readonly bytes: number;
}

/** Reads both ends of an output file; empty when there is none. */
export async function viewOutput(file: string): Promise<OutputView> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (handle === undefined) return { head: '', tail: '', bytes: 0 };
  try {
    const { size } = await handle.stat();
    const head = await readPart(handle, 0, Math.min(size, HEAD_BYTES));
    const tail = size <= HEAD_BYTES ? head.slice(-TAIL_BYTES) : await readPart(handle, size - TAIL_BYTES, TAIL_BYTES);
    return { head, tail, bytes: size };
  } finally {
    await handle.close();
  }
}

/** Size of a file in bytes; 0 when there is none. */
export async function sizeOf(file: string): Promise<number> {
  return await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/**
 * Keeps an output file that is being written to within bounds: beyond `maxBytes` its end goes to `<file>.1` and the file starts anew.
 * The writer must have opened it for appending, so that it goes on at the new end. What it writes in between is lost.
 */
export async function rotateOutput(file: string, maxBytes: number): Promise<boolean> {
  if ((await sizeOf(file)) <= maxBytes) return false;
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const kept = Math.min(size, maxBytes);
    await writeFile(`${file}.1.tmp`, await readBytes(handle, size - kept, kept), { mode: 0o600 });
  } finally {
    await handle.close();
  }
  await rename(`${file}.1.tmp`, `${file}.1`);
  await truncate(file, 0);
  return true;
}

async function readPart(handle: FileHandle, position: number, length: number): Promise<string> {
  return (await readBytes(handle, position, length)).toString('utf8');
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
