import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endTunnels } from './end-tunnels.ts';
import { SetupError } from './setup-error.ts';

export interface DstackServerOptions {
  readonly python: string;
  readonly port: number;
  readonly token: string;
  /** The folder of the whole sandbox: every process that mentions it is the sandbox's own. */
  readonly folder: string;
  readonly home: string;
  readonly proxyUrl: string;
  readonly certificateFile: string;
  readonly catalogFolder: string;
  readonly speed: 'fast' | 'real';
  /** Whether the folder goes away with the process that started the sandbox. */
  readonly removeFolder: boolean;
}

type State = { kind: 'stopped' } | { kind: 'running'; child: ChildProcess; answers: Interface };

/** The real dstack server as a process that can't outlive this one. */
export class DstackServer {
  readonly url: string;
  readonly #options: DstackServerOptions;
  readonly #logFile: string;
  #state: State = { kind: 'stopped' };

  constructor(options: DstackServerOptions) {
    this.#options = options;
    this.url = `http://127.0.0.1:${options.port}`;
    this.#logFile = path.join(options.folder, 'server.log');
  }

  /** Starts the server and waits until it answers. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#state.kind === 'running') return;
    const { python, port, folder } = this.#options;
    await mkdir(path.join(folder, 't'), { recursive: true });
    const log = await open(this.#logFile, 'a', 0o600);
    const serverArguments = ['server', '-n', '--host', '127.0.0.1', '--port', String(port), '-l', 'INFO'];
    try {
      const child = spawn(python, [findLauncher(), ...serverArguments], {
        cwd: folder,
        env: this.#createEnvironment(),
        stdio: ['pipe', log.fd, log.fd, 'pipe'],
        detached: true,
      });
      // A server that died before an order reached it is noticed by its exit.
      child.stdin?.on('error', () => undefined);
      const [, , , answers] = child.stdio;
      if (!isReadable(answers)) throw new Error('the server has no channel for answers');
      this.#state = { kind: 'running', child, answers: createInterface({ input: answers }) };
      await this.#waitUntilReady(child, signal);
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      await log.close();
    }
  }

  /** Ends the server at once, and the SSH tunnels that it left behind. */
  async stop(): Promise<void> {
    const state = this.#state;
    this.#state = { kind: 'stopped' };
    if (state.kind === 'running') {
      const ended =
        state.child.exitCode === null && state.child.signalCode === null ? once(state.child, 'exit') : undefined;
      killGroup(state.child);
      await ended;
      state.answers.close();
    }
    await endTunnels(this.#options.folder);
  }

  /** Makes the running server take prices and availability anew instead of from its caches. */
  async refreshOffers(): Promise<void> {
    if (this.#state.kind === 'stopped') return;
    const answered = once(this.#state.answers, 'line');
    this.#state.child.stdin?.write('refresh-offers\n');
    const [answer]: unknown[] = await answered;
    if (answer !== 'done') throw new Error(`the server couldn't refresh its offers: ${String(answer)}`);
  }

  async #waitUntilReady(child: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
    let failure: string | undefined;
    child.once('error', (error) => (failure = error.message));
    child.once('exit', (code, killedBy) => (failure ??= `it ended with ${killedBy ?? code}`));
    while (!(await this.#answers())) {
      signal?.throwIfAborted();
      if (failure !== undefined) {
        const log = await readFile(this.#logFile, 'utf8').catch(() => '');
        throw new SetupError(`The dstack server didn't start: ${failure}.`, log.split('\n').slice(-15).join('\n'));
      }
      await delay(50);
    }
  }

  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/healthcheck`);
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }

  #createEnvironment(): Record<string, string> {
    const { token, folder, home, proxyUrl, certificateFile, catalogFolder, speed, removeFolder, python } =
      this.#options;
    return {
      PATH: [path.dirname(python), process.env['PATH'] ?? ''].join(path.delimiter),
      LANG: 'C.UTF-8',
      HOME: home,
      // Its tunnels have their control sockets here: that tells them from everybody else's.
      TMPDIR: path.join(folder, 't'),
      DSTACK_SERVER_ADMIN_TOKEN: token,
      DSTACK_DO_NOT_UPDATE_DEFAULT_PROJECT: '1',
      DSTACK_SANDBOX_SPEED: speed,
      ...(removeFolder && { DSTACK_SANDBOX_REMOVE: folder }),
      GPUHUNT_CATALOG_URL: `file://${catalogFolder}`,
      HTTP_PROXY: proxyUrl,
      HTTPS_PROXY: proxyUrl,
      NO_PROXY: '127.0.0.1,localhost',
      REQUESTS_CA_BUNDLE: certificateFile,
      SSL_CERT_FILE: certificateFile,
    };
  }
}

/** Finds the launcher beside the source or beside the bundle. */
function findLauncher(): string {
  const candidates = ['./server/fast-server.py', '../sandbox/server/fast-server.py'];
  const found = candidates.map((candidate) => fileURLToPath(new URL(candidate, import.meta.url))).find(existsSync);
  if (found === undefined)
    throw new SetupError('server/fast-server.py is missing.', 'Build or install the package again.');
  return found;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function isReadable(stream: unknown): stream is NodeJS.ReadableStream {
  return typeof stream === 'object' && stream !== null && 'read' in stream;
}
