import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { pause } from '../core/waiting.ts';
import { callProgram } from './remote-shell.ts';
import type { RemoteEnd, RemoteProcess } from './remote-shell.ts';
import { DISCARD, LARGE_SUFFIX, RECEIVE, SCRIPT_EXIT, SEND, STAGE_PREFIX } from './copy-scripts.ts';
import type { CopyScope, TreeEntry } from './copy-tree.ts';
import { assertUnchanged, changed, openListed } from './local-tree.ts';
import { assertEnded, assertNotCanceled, collect } from './run-scripts.ts';

/** A larger file is worth a program in the run. */
const LARGE_BYTES = 32 * 1024 ** 2;

/**
 * Whether ssh itself reads or writes a file: through the streams of this process, each byte would be copied twice more. It is checked by
 * its size and by the times of change at its source, because ssh authenticates every byte on the way: a checksum at both ends would
 * take as long as the copy (`npm run lab -- copy`).
 */
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
  #early: { readonly entry: TreeEntry; readonly sent: Promise<number>; readonly stop: AbortController } | undefined;
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

  /** Sends a file, or waits for it, and returns its name in the staging folder. @throws ToolError `plan-changed` if it is another one, or was written to */
  async send(file: LocalFile, onBytes: LargeFile['onBytes']): Promise<number> {
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
  ): Promise<number> {
    const number = this.#count++;
    try {
      const signal = AbortSignal.any([this.#scope.signal, stop]);
      const data = [this.#remote, `${this.stage}${LARGE_SUFFIX}`, String(number)];
      const running = this.#scope.shell.start({ script: RECEIVE, data }, { signal, stdin: handle.fd });
      const findPosition = async (): Promise<number> =>
        Number(/^pos:\s*(\d+)/.exec(await readFile(`/proc/self/fdinfo/${handle.fd}`, 'latin1'))?.[1]);
      await follow(running, { entry, onBytes }, { signal, findPosition });
      await assertUnchanged(handle, entry);
      return number;
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

/** Receives a file of a folder in the run. @throws ToolError, CommandFailed */
export async function receiveLarge({ shell, signal }: CopyScope, folder: string, file: LargeFile): Promise<void> {
  const { handle, entry } = file;
  const running = shell.start({ script: SEND, data: [folder, entry.name] }, { signal, stdout: handle.fd });
  const findPosition = async (): Promise<number> => {
    const { size } = await handle.stat();
    if (size > entry.size) throw changed(entry.name);
    return size;
  };
  try {
    await follow(running, file, { signal, findPosition });
    const bytes = await findPosition();
    if (bytes < entry.size) throw changed(entry.name);
    file.onBytes(bytes);
  } finally {
    running.stdin.end();
  }
}

const POLL_MS = 50;

/** Reports how much of a file has been copied, until the program in the run has ended. @throws CommandFailed unless it ended well */
async function follow(
  running: RemoteProcess,
  { entry, onBytes }: Pick<LargeFile, 'entry' | 'onBytes'>,
  { signal, findPosition }: { readonly signal: AbortSignal; readonly findPosition: () => Promise<number> },
): Promise<void> {
  const errors = collect(running.stderr);
  running.stdout.resume();
  let end: RemoteEnd | void;
  try {
    do {
      onBytes(await findPosition());
      end = await Promise.race([running.ended, pause(POLL_MS, signal)]);
    } while (end === undefined);
  } catch (error) {
    running.kill();
    throw error;
  }
  assertNotCanceled(signal);
  if (end.kind === 'exited' && end.exitCode === SCRIPT_EXIT.different) throw changed(entry.name);
  assertEnded(end, errors());
}
