import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { Server as NetServer, Socket } from 'node:net';
import { Container } from './container.ts';
import type { HostHardware } from './host-commands.ts';
import { createHostCommands } from './host-commands.ts';
import type { Isolation } from './isolation.ts';
import type { Scenarios } from './scenarios.ts';
import type { TaskRequest } from './shim.ts';
import { serveUploads } from './sftp.ts';
import { createShim } from './shim.ts';
import { serveSimulatedSession } from './simulated-session.ts';
import type { Acceptor, SshServer } from './ssh-server.ts';
import { createSshServer } from './ssh-server.ts';
import type { TaskStatus } from './task.ts';
import { Task } from './task.ts';

export type { HostHardware } from './host-commands.ts';

/** The port of the shim, which dstack's server reaches through SSH. */
const SHIM_PORT = 10_998;
const FIRST_MAPPED_PORT = 30_000;

/** Options for a simulated host. */
export interface SimulatedHostOptions {
  readonly name: string;
  readonly hardware: HostHardware;
  /** A PEM key from ssh-keygen, since ssh2 sometimes generates malformed keys. */
  readonly hostKey: Buffer;
  readonly scenarios: Scenarios;
  readonly dstackVersion: string;
  /** For the commands of SSH clients in containers. */
  readonly isolation: Isolation;
  readonly onEvent?: (line: string) => void;
}

/** The state of a task on a simulated host. */
export interface SimulatedTask {
  readonly id: string;
  readonly name: string;
  readonly status: TaskStatus;
  readonly terminationReason: string;
}

/** Simulates a host of an SSH fleet or a cloud VM. Executes nothing outside of its containers. */
export class SimulatedHost {
  readonly #options: SimulatedHostOptions;
  readonly #tasks = new Map<string, Task>();
  /** All that may have processes. */
  readonly #containers = new Set<Container>();
  readonly #sockets = new Set<Socket>();
  readonly #shim: HttpServer;
  readonly #ssh: SshServer;
  readonly #listener: NetServer;
  #nextMappedPort = FIRST_MAPPED_PORT;

  private constructor(options: SimulatedHostOptions) {
    this.#options = options;
    this.#shim = createShim({
      dstackVersion: options.dstackVersion,
      hasGpu: options.hardware.gpuCount > 0,
      tasks: this.#tasks,
      createTask: (request) => this.#createTask(request),
      onEvent: (line) => this.#report(line),
    });
    const runCommand = createHostCommands(options.hardware, options.dstackVersion);
    this.#ssh = createSshServer({
      hostKey: options.hostKey,
      route: (port) => this.#route(port),
      // It executes nothing, and only containers know the keys of their clients.
      acceptsKey: () => true,
      serveSession: (session) => {
        serveSimulatedSession(session, { runCommand, shellText: `Simulated host ${options.name}` });
        session.on('sftp', (accept) => serveUploads(accept()));
      },
      onEvent: (line) => this.#report(line),
    });
    this.#listener = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      this.#ssh.accept(socket);
    });
  }

  /** Starts a host that accepts SSH on an address. The port defaults to a free one. */
  static async start(
    options: SimulatedHostOptions,
    listen: { readonly address: string; readonly port?: number },
  ): Promise<SimulatedHost> {
    const host = new SimulatedHost(options);
    host.#listener.listen(listen.port ?? 0, listen.address);
    await once(host.#listener, 'listening');
    return host;
  }

  get address(): string {
    return this.#boundTo().address;
  }

  get port(): number {
    return this.#boundTo().port;
  }

  get tasks(): readonly SimulatedTask[] {
    return [...this.#tasks.values()].map(({ id, name, status, terminationReason }) => ({
      id,
      name,
      status,
      terminationReason,
    }));
  }

  /** Breaks the SSH connections to the containers of a task. */
  dropConnections(taskName: string): void {
    for (const task of this.#tasks.values()) if (task.name === taskName) task.container.dropConnections();
  }

  /** Ends all jobs and connections, and stops listening. */
  async stop(): Promise<void> {
    for (const task of this.#tasks.values()) task.terminate('', '');
    this.#tasks.clear();
    await Promise.all([...this.#containers].map((container) => container.destroy()));
    this.#ssh.close();
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#listener.listening) return;
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #boundTo(): { readonly address: string; readonly port: number } {
    const bound = this.#listener.address();
    if (bound === null || typeof bound === 'string') throw new Error(`Host ${this.#options.name} is not listening`);
    return bound;
  }

  #createTask({ id, name, network_mode: networkMode, gpu, container_ssh_keys: keys }: TaskRequest): Task {
    const { hardware, hostKey, scenarios, dstackVersion, isolation } = this.#options;
    const scenario = scenarios.for(name);
    // In the shim API, -1 means all GPUs of the host.
    const gpuCount = gpu < 0 ? hardware.gpuCount : Math.min(gpu, hardware.gpuCount);
    const container = new Container({
      name,
      hardware,
      gpuCount,
      hostKey,
      scenario,
      dstackVersion,
      isolation,
      keys,
      onEvent: (line) => this.#report(`${name}: ${line}`),
      onDestroyed: () => this.#containers.delete(container),
    });
    this.#containers.add(container);
    const isHostMode = networkMode === 'host';
    const ports = isHostMode ? undefined : { runner: this.#nextMappedPort++, ssh: this.#nextMappedPort++ };
    return new Task({ id, name, scenario, container, ports });
  }

  // Only ports of this host's tasks are reachable, never a port of the real machine.
  #route(port: number): Acceptor | undefined {
    if (port === SHIM_PORT) return (channel) => void this.#shim.emit('connection', channel);
    for (const task of this.#tasks.values()) {
      if (!task.isUp) continue;
      if (port === task.runnerPort) return (channel) => task.container.acceptRunner(channel);
      if (port === task.sshPort) return (channel) => task.container.acceptSsh(channel);
    }
    return undefined;
  }

  #report(line: string): void {
    this.#options.onEvent?.(`${this.#options.name}: ${line}`);
  }
}
