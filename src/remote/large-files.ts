import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { pause } from '../core/poll.ts';
import type { CopyScope } from './copy.ts';
import { RECEIVE, SEND } from './copy-scripts.ts';
import type { TreeEntry } from './copy-tree.ts';
import { changed } from './local-tree.ts';
import type { RemoteProcess } from './remote-shell.ts';
import { assertEnded, assertNotCanceled, collect } from './run-script.ts';

/** A larger file is worth a program in the run. */
const LARGE_BYTES = 32 * 1024 ** 2;

/** Whether ssh itself reads or writes a file: through the streams of this process, each byte would be copied twice more. */
export const isLarge = ({ size }: Pick<TreeEntry, 'size'>): boolean => size >= LARGE_BYTES;

/** Whether `sendLarge` works: only Linux shows how far another process has read an open file. */
export const canSendLarge = process.platform === 'linux';

/** A large file to copy. */
export interface LargeFile {
  /** Open at its start. */
  readonly handle: FileHandle;
  readonly entry: TreeEntry;
  /** Called with how many bytes of it have been copied by now. */
  readonly onBytes: (bytes: number) => void;
}

/** Sends a file to a numbered place in a staging folder of the run, and returns its checksum. @throws ToolError, CommandFailed */
export async function sendLarge(
  { shell, signal }: CopyScope,
  data: readonly [folder: string, stage: string, number: string],
  file: LargeFile,
): Promise<string> {
  const { fd } = file.handle;
  const running = shell.start({ script: RECEIVE, data }, { signal, stdin: fd });
  const findPosition = async (): Promise<number> =>
    Number(/^pos:\s*(\d+)/.exec(await readFile(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]);
  return follow(running, file, { signal, pollMs: 100, findPosition });
}

/** Receives a file of a folder in the run, and returns its checksum. @throws ToolError, CommandFailed */
export async function receiveLarge({ shell, signal }: CopyScope, folder: string, file: LargeFile): Promise<string> {
  const running = shell.start({ script: SEND, data: [folder, file.entry.name] }, { signal, stdout: file.handle.fd });
  running.stdin.end();
  return follow(running, file, { signal, pollMs: 10 });
}

const CHUNK_BYTES = 1024 * 1024;
/** Reading a position takes longer than reading a chunk. */
const CHUNKS_PER_POSITION = 16;

interface Following {
  readonly signal: AbortSignal;
  /** Wait after everything that exists was read. */
  readonly pollMs: number;
  /** Returns how much has been copied. Defaults to what was read. */
  readonly findPosition?: () => Promise<number>;
}

/** Reads a file while it is copied, until the program in the run has ended. */
async function follow(
  running: RemoteProcess,
  { handle, entry, onBytes }: LargeFile,
  { signal, pollMs, findPosition }: Following,
): Promise<string> {
  const errors = collect(running.stderr);
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let hasEnded = false;
  const ended = running.ended.then(() => void (hasEnded = true));
  let bytes = 0;
  let chunks = 0;
  try {
    for (;;) {
      // Before reading: what is read after the end is everything.
      const isOver = hasEnded;
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, bytes);
      hash.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
      if (bytes > entry.size) throw changed(entry.name);
      if (findPosition === undefined) onBytes(bytes);
      else if (bytesRead === 0 || chunks++ % CHUNKS_PER_POSITION === 0) onBytes(await findPosition());
      if (bytesRead > 0) continue;
      if (isOver) break;
      await Promise.race([ended, pause(pollMs, signal)]);
    }
  } catch (error) {
    running.kill();
    throw error;
  }
  assertNotCanceled(signal);
  assertEnded(await running.ended, errors());
  if (bytes < entry.size) throw changed(entry.name);
  return hash.digest('hex');
}
