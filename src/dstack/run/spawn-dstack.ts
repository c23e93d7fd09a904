import type { Readable } from 'node:stream';
import { Writable } from 'node:stream';
import { execa } from 'execa';
import type { Executable } from './executable.ts';

/** What to start: a command, where, and where its streams go. */
export interface SpawnRequest {
  readonly executable: Executable;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to the standard input, which then ends. Without it the standard input is empty. */
  readonly answer?: 'n';
  /** Open files; pipes unless given. */
  readonly output?: { readonly stdout: Writable; readonly stderr: Writable };
  /** Starts the entry script under its interpreter with this file answered from memory. */
  readonly pinned?: { readonly launcherPath: string; readonly path: string; readonly bytes: Uint8Array };
}

export type Spawned =
  | { readonly kind: 'not-started'; readonly reason: string }
  | {
      readonly kind: 'started';
      readonly pid: number;
      readonly exited: Promise<Ended>;
      /** Null where the output goes to files. */
      readonly stdout: Readable | null;
      readonly stderr: Readable | null;
      /** Lets this process end while the other one goes on. */
      unref(): void;
    };

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Starts dstack as the leader of its own process group, without a shell and without any stream of this process. */
export async function spawnDstack(request: SpawnRequest): Promise<Spawned> {
  const { executable, argv, env, cwd, answer, output, pinned } = request;
  const [file, args] = wordsOf(executable, argv, pinned);
  const child = execa(file, args, {
    env: { ...env },
    extendEnv: false,
    ...(cwd === undefined ? {} : { cwd }),
    stdio: [
      answer === undefined ? 'ignore' : 'pipe',
      output?.stdout ?? 'pipe',
      output?.stderr ?? 'pipe',
      ...(pinned === undefined ? [] : ['pipe' as const]),
    ],
    // A group of its own: ended as a whole, and out of reach of a signal that the client sends to ours.
    detached: process.platform !== 'win32',
    windowsHide: true,
    reject: false,
    buffer: false,
    stripFinalNewline: false,
  });
  if (child.pid === undefined) {
    const result = await child;
    return { kind: 'not-started', reason: result.originalMessage ?? result.shortMessage ?? 'it could not be started' };
  }
  const exited = new Promise<Ended>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  if (answer !== undefined) send(child.stdio[0], Buffer.from(`${answer}\n`));
  if (pinned !== undefined) send(child.stdio[3], pinnedFrame(pinned.path, pinned.bytes));
  const { pid, stdout, stderr } = child;
  return { kind: 'started', pid, exited, stdout, stderr, unref: () => child.unref() };
}

function wordsOf(executable: Executable, argv: readonly string[], pinned: SpawnRequest['pinned']): [string, string[]] {
  if (pinned === undefined) return [executable.path, [...argv]];
  if (executable.interpreter === undefined) throw new TypeError('a file can be held only for a Python entry script');
  return [executable.interpreter, ['-B', pinned.launcherPath, executable.path, ...argv]];
}

/** What the launcher reads: the path and the content, each after its length. */
function pinnedFrame(path: string, bytes: Uint8Array): Buffer {
  const name = Buffer.from(path);
  const lengths = [name.length, bytes.length].map((length) => {
    const word = Buffer.alloc(4);
    word.writeUInt32BE(length);
    return word;
  });
  return Buffer.concat([lengths[0] ?? Buffer.alloc(0), name, lengths[1] ?? Buffer.alloc(0), bytes]);
}

function send(stream: unknown, bytes: Uint8Array): void {
  if (!(stream instanceof Writable)) throw new TypeError('the pipe to dstack is missing');
  // A process that ends without reading it is no fault of ours: its exit code tells.
  stream.on('error', () => undefined);
  stream.end(bytes);
}
