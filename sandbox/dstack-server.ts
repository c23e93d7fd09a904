import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

import { mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { endTunnels } from './end-tunnels.ts';
import { findServerFile } from './server-file.ts';
import { SetupError } from './setup-error.ts';

export interface DstackServerOptions {
  readonly python: string;
  readonly port: number;
  readonly token: string;
  /** The sandbox's folder. Identifies its processes by their arguments. */
  readonly folder: string;
  readonly home: string;
  readonly proxyUrl: string;
  readonly certificateFile: string;
  readonly catalogFolder: string;
  readonly speed: 'fast' | 'real';
  /** The folders to remove when the process that started the sandbox ends. */
  readonly removedFolders: readonly string[];
}

type State = { kind: 'stopped' } | { kind: 'running'; child: ChildProcess; answers: Interface };

/** A dstack server process that ends when this process does. */
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

  /** Starts the server and waits until it is healthy. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#state.kind === 'running') return;
    const { python, port, folder } = this.#options;
    await mkdir(path.join(folder, 't'), { recursive: true });
    const log = await open(this.#logFile, 'a', 0o600);
    const serverArguments = ['server', '-n', '--host', '127.0.0.1', '--port', String(port), '-l', 'INFO'];
    try {
      const child = spawn(python, [findServerFile('fast-server.py'), ...serverArguments], {
        cwd: folder,
        env: this.#createEnvironment(),
        stdio: ['pipe', log.fd, log.fd, 'pipe'],
        detached: true,
      });
      // Its exit event reports a server that ended before it read a command.
      child.stdin?.on('error', () => undefined);
      const [, , , answers] = child.stdio;
      if (!isReadable(answers)) throw new Error('the server has no channel for its answers');
      this.#state = { kind: 'running', child, answers: createInterface({ input: answers }) };
      await this.#waitUntilReady(child, signal);
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      await log.close();
    }
  }

  /** Kills the server and the SSH tunnels that it started. */
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

  /** Clears the running server's caches of prices and availability. */
  async refreshOffers(): Promise<void> {
    if (this.#state.kind === 'stopped') return;
    const answered = once(this.#state.answers, 'line');
    this.#state.child.stdin?.write('refresh-offers\n');
    const [answer]: unknown[] = await answered;
    if (answer !== 'done') throw new Error(`the server failed to refresh its offers: ${String(answer)}`);
  }

  async #waitUntilReady(child: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
    let failure: string | undefined;
    child.once('error', (error) => (failure = error.message));
    child.once('exit', (code, killedBy) => (failure ??= `it ended with ${killedBy ?? code}`));
    while (!(await this.#answers())) {
      signal?.throwIfAborted();
      if (failure !== undefined) {
        const log = await readFile(this.#logFile, 'utf8').catch(() => '');
        throw new SetupError(`The dstack server did not start: ${failure}.`, log.split('\n').slice(-15).join('\n'));
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
    const { token, folder, home, proxyUrl, certificateFile, catalogFolder, speed, removedFolders, python } =
      this.#options;
    return {
      PATH: [path.dirname(python), process.env['PATH'] ?? ''].join(path.delimiter),
      LANG: 'C.UTF-8',
      HOME: home,
      // Its tunnels have their control sockets here, which identifies them.
      TMPDIR: path.join(folder, 't'),
      DSTACK_SERVER_ADMIN_TOKEN: token,
      DSTACK_DO_NOT_UPDATE_DEFAULT_PROJECT: '1',
      DSTACK_SANDBOX_SPEED: speed,
      DSTACK_SANDBOX_REMOVE: removedFolders.join(path.delimiter),
      GPUHUNT_CATALOG_URL: `file://${catalogFolder}`,
      HTTP_PROXY: proxyUrl,
      HTTPS_PROXY: proxyUrl,
      NO_PROXY: '127.0.0.1,localhost',
      REQUESTS_CA_BUNDLE: certificateFile,
      SSL_CERT_FILE: certificateFile,
    };
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function isReadable(stream: unknown): stream is NodeJS.ReadableStream {
  return typeof stream === 'object' && stream !== null && 'read' in stream;
}
