import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { ServerChannel } from 'ssh2';
import { createHelloApp, createServiceApp } from './apps.ts';
import { ContainerInside } from './container-inside.ts';
import type { HostHardware } from './host-commands.ts';
import { readBody } from './http-json.ts';
import type { Isolation } from './isolation.ts';
import { Job } from './job.ts';
import { runContainerCommand } from './run-container-command.ts';
import { createRunner } from './runner.ts';
import type { App, Scenario } from './scenarios.ts';
import type { Acceptor, SshServer } from './ssh-server.ts';
import { createSshServer } from './ssh-server.ts';

/** The ports that dstack uses in every container. */
export const RUNNER_PORT = 10_999;
export const CONTAINER_SSH_PORT = 10_022;

/** Options for a simulated container. */
export interface ContainerOptions {
  readonly name: string;
  readonly hardware: HostHardware;
  readonly gpuCount: number;
  readonly hostKey: Buffer;
  readonly scenario: Scenario;
  readonly dstackVersion: string;
  readonly isolation: Isolation;
  /** Public keys that the server gave to the container, as lines of authorized_keys. */
  readonly keys: readonly string[];
  readonly onEvent: (line: string) => void;
  /** Called when no process of it is left. */
  readonly onDestroyed: () => void;
}

/** A simulated container with a job, its runner, an SSH server and applications. It has no ports, only SSH channels. */
export class Container {
  readonly #options: ContainerOptions;
  readonly #job: Job;
  readonly #runner: Server;
  readonly #ssh: SshServer;
  readonly #inside: ContainerInside;
  readonly #channels = new Set<ServerChannel>();
  readonly #apps = new Map<number, Server>();
  #connectionCount = 0;
  #disconnectedAtMs = Date.now();

  constructor(options: ContainerOptions) {
    const { scenario, hardware, gpuCount } = options;
    const gpuUtilization = scenario.gpuUtilization ?? 42;
    const facts = { hostName: options.name, hardware, gpuCount, gpuUtilization };
    this.#options = options;
    this.#job = new Job(scenario, (command) =>
      command.startsWith('nvidia-smi') ? runContainerCommand(command, facts).stdout || undefined : undefined,
    );
    this.#runner = createRunner({
      job: this.#job,
      dstackVersion: options.dstackVersion,
      gpuCount,
      gpuUtilization,
      memoryBytes: scenario.memoryBytes ?? 512 * 2 ** 20,
      secondsWithoutConnection: () =>
        this.#connectionCount > 0 ? 0 : Math.floor((Date.now() - this.#disconnectedAtMs) / 1000),
    });
    this.#inside = new ContainerInside({ job: this.#job, isolation: options.isolation, facts, scenario });
    this.#ssh = createSshServer({
      hostKey: options.hostKey,
      route: (port) => this.routeInside(port),
      acceptsKey: (key) => this.#listKeys().includes(key),
      serveSession: (session, closed) => this.#inside.serve(session, closed),
      onConnectionCount: (count) => {
        if (count === 0) this.#disconnectedAtMs = Date.now();
        this.#connectionCount = count;
      },
      onEvent: options.onEvent,
    });
  }

  get job(): Job {
    return this.#job;
  }

  acceptRunner(channel: ServerChannel): void {
    this.#adopt(channel);
    this.#runner.emit('connection', channel);
  }

  acceptSsh(channel: ServerChannel): void {
    this.#adopt(channel);
    this.#ssh.accept(channel);
  }

  /** Returns the listener on a port of the container. */
  routeInside(port: number): Acceptor | undefined {
    if (port === RUNNER_PORT) return (channel) => this.acceptRunner(channel);
    const { runningSinceMs } = this.#job;
    const { loadMs = 0 } = this.#options.scenario;
    if (runningSinceMs === undefined || Date.now() - runningSinceMs < loadMs) return undefined;
    const app = this.#findApp(port);
    if (!app) return undefined;
    return (channel) => {
      this.#adopt(channel);
      app.emit('connection', channel);
    };
  }

  /** Ends the job, all connections, and then all processes. */
  async destroy(): Promise<void> {
    this.#job.kill();
    this.#ssh.close();
    this.dropConnections();
    await this.#inside.end();
    this.#options.onDestroyed();
  }

  /** Breaks all connections, as a network does. The job and its processes run on. */
  dropConnections(): void {
    for (const channel of this.#channels) channel.destroy();
    this.#channels.clear();
  }

  /** Returns the keys that sshd accepts here, in base64. */
  #listKeys(): readonly string[] {
    const ofJob = this.#job.submission?.job_spec.ssh_key?.public;
    return [...this.#options.keys, ...(ofJob === undefined ? [] : [ofJob])].map(
      (line) => line.trim().split(' ')[1] ?? '',
    );
  }

  #adopt(channel: ServerChannel): void {
    this.#channels.add(channel);
    channel.on('close', () => this.#channels.delete(channel));
  }

  #findApp(port: number): Server | undefined {
    const existing = this.#apps.get(port);
    if (existing) return existing;
    const app = this.#options.scenario.apps?.[port] ?? this.#defaultApp(port);
    if (!app) return undefined;
    const server = createAppServer(app);
    this.#apps.set(port, server);
    return server;
  }

  #defaultApp(port: number): App | undefined {
    const runSpec = this.#job.submission?.run.run_spec;
    if (!runSpec) return undefined;
    const { run_name: runName, configuration } = runSpec;
    if (configuration.port?.container_port === port) {
      return createServiceApp(runName, configuration.model?.name, this.#options.scenario.model);
    }
    return configuration.ports.some((mapping) => mapping.container_port === port) ? createHelloApp(runName) : undefined;
  }
}

function createAppServer(app: App): Server {
  return createServer((request, response) => {
    answerAsApp(app, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500).end(`${String(error)}\n`);
      // A client that has left a stream.
      else response.destroy();
    });
  });
}

async function answerAsApp(app: App, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  const reply = await app({
    method: request.method ?? 'GET',
    path: request.url ?? '/',
    headers: request.headers,
    body,
  });
  const { status = 200, headers } = reply;
  if (typeof reply.body === 'string') {
    response.writeHead(status, { 'content-length': Buffer.byteLength(reply.body), ...headers });
    response.end(reply.body);
  } else {
    response.writeHead(status, headers);
    await pipeline(reply.body, response);
  }
}
