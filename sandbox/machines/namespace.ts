import { spawn } from 'node:child_process';
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { ENTER, SET_UP, WITH_PIPES } from './namespace-scripts.ts';

/** Options for the inside of a container. */
export interface NamespaceOptions {
  readonly hostName: string;
  /** The limit of all files together. They are in memory. */
  readonly diskBytes: number;
  /** The content of /dstack/profile. */
  readonly profile: string;
  /** The output of nvidia-smi. There is no such program if empty. */
  readonly gpus: string;
  /** The folder of the job's commands. */
  readonly workingFolder: string;
}

/** The search path in a container, with the simulated nvidia-smi first. */
export const CONTAINER_PATH = '/opt/sandbox:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Namespaces that a container has for itself. The name of a pid namespace is the one for children. */
const NAMESPACES = {
  user: 'user',
  mount: 'mnt',
  pid: 'pid_for_children',
  net: 'net',
  ipc: 'ipc',
  uts: 'uts',
  cgroup: 'cgroup',
} as const;

const NOBODY = 65_534;
/** All of a container's processes together, and the data of each. */
const LIMITS = ['--core=0', '--nproc=2048', `--data=${4 * 2 ** 30}`];
const END_MS = 5_000;

/**
 * The inside of one container: its root folder, processes and network, separate by Linux namespaces. It ends with this process, however
 * that ends, because its first process waits for the end of a stream from here.
 */
export class Namespace {
  readonly #first: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(first: ChildProcess) {
    this.#first = first;
    this.#ended = once(first, 'exit').catch(() => undefined);
  }

  /** @throws Error with the reason, where the system doesn't allow it */
  static async create(options: NamespaceOptions): Promise<Namespace> {
    const { hostName, diskBytes, profile, gpus, workingFolder } = options;
    const unshare = ['unshare', '--map-root-user', '--fork', '--kill-child'];
    const own = Object.keys(NAMESPACES).map((name) => `--${name}`);
    const data = [String(diskBytes), hostName, ENTER, gpus, workingFolder];
    const inside = ['bash', '--norc', '-c', SET_UP, 'container', ...data];
    const [program = '', ...args] = [...asNobody(), ...unshare, ...own, ...inside];
    const first = spawn(program, args, { ...unrelated(), stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    const { stdin, stdout, stderr, stdio } = first;
    const [, , , profileStream] = stdio;
    const namespace = new Namespace(first);
    for (const stream of [stdin, profileStream]) stream?.on('error', () => undefined);
    if (profileStream && 'end' in profileStream) profileStream.end(profile);
    const failure = text(stderr);
    // One line; the stream stays open with the process that waits for the first one. It ends without a line if the setup failed.
    const [line] = await Promise.race([once(stdout, 'data'), once(first, 'close')]);
    if (String(line) === 'ready\n') return namespace;
    await namespace.end();
    throw new Error((await failure).trim().split('\n').at(-1));
  }

  /** Whether commands can run in it. */
  get isAlive(): boolean {
    return this.#first.exitCode === null && this.#first.signalCode === null;
  }

  /** Starts a program in it, with real pipes and exactly these variables. */
  spawn(command: readonly string[], variables: Readonly<Record<string, string>>): ChildProcessWithoutNullStreams {
    // The process that holds the namespaces is a child of this one: its number is not used again before it is found to have ended.
    if (!this.isAlive || this.#first.pid === undefined) throw new Error('The container has ended.');
    const folder = `/proc/${this.#first.pid}/ns`;
    const limited = ['prlimit', ...LIMITS, 'bash', '--norc', '-c', WITH_PIPES, 'container'];
    const own = Object.entries(NAMESPACES).map(([name, file]) => `--${name}=${folder}/${file}`);
    const enter = ['nsenter', '--preserve-credentials', ...own, '/opt/sandbox/enter'];
    const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    const [program = '', ...args] = [...asNobody(), ...limited, ...enter, ...assignments, ...command];
    return spawn(program, args, { ...unrelated(), stdio: 'pipe' });
  }

  /** Ends all of its processes, and with them its files. */
  async end(): Promise<void> {
    const timer = setTimeout(() => this.#first.kill('SIGKILL'), END_MS);
    this.#first.stdin?.destroy();
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Nothing of this process: neither its variables, nor its folder, nor its terminal's Ctrl+C. */
function unrelated(): { cwd: string; env: Record<string, string>; detached: boolean } {
  return { cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, detached: true };
}

/** The computer's root has rights that a namespace doesn't take away, so it becomes another user first. */
function asNobody(): string[] {
  if (process.getuid?.() !== 0) return [];
  return ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];
}
