import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { pause } from '../core/waiting.ts';
import { callProgram } from './call-program.ts';
import { DISCARD, LARGE_SUFFIX, RECEIVE, SEND, STAGE_PREFIX } from './copy-scripts.ts';
import type { CopyScope, TreeEntry } from './copy-tree.ts';
import { assertUnchanged, changed, openListed } from './local-tree.ts';
import type { RemoteProcess } from './remote-shell.ts';
import { assertEnded, assertNotCanceled, collect } from './run-script.ts';

/** A larger file is worth a program in the run. */
const LARGE_BYTES = 32 * 1024 ** 2;

/** Whether ssh itself reads or writes a file: through the streams of this process, each byte would be copied twice more. */
export const isLarge = ({ size }: Pick<TreeEntry, 'size'>): boolean => size >= LARGE_BYTES;

/** Whether a file is sent on its own: only Linux shows how far another process has read an open file. */
export const isSentAlone = (entry: TreeEntry): boolean => process.platform === 'linux' && isLarge(entry);

/** A large file to copy. */
export interface LargeFile {
  /** Open at its start. */
  readonly handle: FileHandle;
  readonly entry: TreeEntry;
  /** Called with how many bytes of it have been copied by now. */
  readonly onBytes: (bytes: number) => void;
}

/** A file that has arrived in the staging folder. */
export interface SentFile {
  /** Its name there. */
  readonly number: number;
  readonly sum: string;
  /** The run has computed the same checksum of what arrived. */
  readonly isCompared: boolean;
}

/** A local file to send. */
interface LocalFile {
  readonly entry: TreeEntry;
  /** Absolute, without links. */
  readonly place: string;
}

const DISCARD_MS = 5_000;

/** Sends the large files of one upload to a staging folder in the run, for the program that puts everything in its place. */
export class LargeUpload {
  readonly stage = `${STAGE_PREFIX}${randomBytes(8).toString('hex')}`;
  readonly #scope: CopyScope;
  readonly #remote: string;
  readonly #stop = new AbortController();
  #early: { readonly entry: TreeEntry; readonly sent: Promise<SentFile>; readonly stop: AbortController } | undefined;
  #onBytes: LargeFile['onBytes'] = () => undefined;
  #count = 0;

  /** `remote` is the place of the upload, as it was passed. */
  constructor(scope: CopyScope, remote: string) {
    this.#scope = scope;
    this.#remote = remote;
  }

  /** Starts with the first large file, before it is known whether the run needs it: looking that up takes a round trip. */
  async startEarly(file: LocalFile | undefined): Promise<void> {
    if (file === undefined) return;
    const stop = new AbortController();
    const handle = await openListed(file.place, file.entry);
    const sent = this.#send(file, { handle, stop: stop.signal, onBytes: (bytes) => this.#onBytes(bytes) });
    sent.catch(() => undefined);
    this.#early = { entry: file.entry, sent, stop };
  }

  /** Ends the early file if it may be in the run already: comparing takes longer than looking up. */
  stopEarly(mayExist: (entry: TreeEntry) => boolean): void {
    if (this.#early === undefined || !mayExist(this.#early.entry)) return;
    this.#early.stop.abort();
    this.#early = undefined;
  }

  /** Sends a file, or waits for it. @throws ToolError `plan-changed` if it is another one, or was written to */
  async send(file: LocalFile, onBytes: LargeFile['onBytes']): Promise<SentFile> {
    if (this.#early?.entry === file.entry) {
      this.#onBytes = onBytes;
      return this.#early.sent;
    }
    const handle = await openListed(file.place, file.entry);
    return this.#send(file, { handle, stop: this.#stop.signal, onBytes });
  }

  /** Ends what is being sent: nothing waits for it anymore. */
  stop(): void {
    this.#stop.abort();
    this.#early?.stop.abort();
  }

  /** Removes what has arrived. */
  async discard(): Promise<void> {
    if (this.#count === 0) return;
    this.stop();
    const program = { script: DISCARD, data: [this.#remote, `${this.stage}${LARGE_SUFFIX}`] };
    await callProgram(this.#scope.shell, program, { timeoutMs: DISCARD_MS });
  }

  async #send(
    { entry }: LocalFile,
    { handle, stop, onBytes }: Omit<LargeFile, 'entry'> & { readonly stop: AbortSignal },
  ): Promise<SentFile> {
    const number = this.#count++;
    try {
      const signal = AbortSignal.any([this.#scope.signal, stop]);
      const data = [this.#remote, `${this.stage}${LARGE_SUFFIX}`, String(number)];
      const running = this.#scope.shell.start({ script: RECEIVE, data }, { signal, stdin: handle.fd });
      const printed = collect(running.stdout);
      const findPosition = async (): Promise<number> =>
        Number(/^pos:\s*(\d+)/.exec(await readFile(`/proc/self/fdinfo/${handle.fd}`, 'latin1'))?.[1]);
      const sum = await follow(running, { handle, entry, onBytes }, { signal, pollMs: 100, findPosition });
      await assertUnchanged(handle, entry);
      return { number, sum, isCompared: printed().trim() === sum };
    } catch (error) {
      // The end of the program that waits for it says why.
      throw stop.aborted && !this.#scope.signal.aborted
        ? new Error('Nothing waits for the file.', { cause: error })
        : error;
    } finally {
      await handle.close();
    }
  }
}

/** Receives a file of a folder in the run, and returns its checksum. @throws ToolError, CommandFailed */
export async function receiveLarge({ shell, signal }: CopyScope, folder: string, file: LargeFile): Promise<string> {
  const running = shell.start({ script: SEND, data: [folder, file.entry.name] }, { signal, stdout: file.handle.fd });
  try {
    return await follow(running, file, { signal, pollMs: 10 });
  } finally {
    running.stdin.end();
  }
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
