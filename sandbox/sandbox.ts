import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import getPort from 'get-port';
import { stringify } from 'yaml';

import { SimulatedCloud } from './cloud/simulated-cloud.ts';
import { createHome, skipUpdateCheck } from './create-home.ts';
import type { CliHome } from './create-home.ts';
import { createDefaultFleets, startFleetHosts } from './default-fleets.ts';
import type { FleetHost } from './default-fleets.ts';
import { DstackServer } from './dstack-server.ts';
import { endTunnels } from './end-tunnels.ts';
import { findInstalledDstack } from './installed-dstack.ts';
import type { InstalledDstack } from './installed-dstack.ts';
import { Machines } from './machines.ts';
import type { RunningTask } from './machines.ts';
import { findIsolation } from './machines/isolation.ts';
import type { Isolation } from './machines/isolation.ts';
import { Scenarios } from './machines/scenarios.ts';
import { createRestClient } from './rest-client.ts';
import type { RestClient } from './rest-client.ts';
import { createSandboxFolder, removeSandboxFolder } from './sandbox-folder.ts';
import type { SandboxFolder } from './sandbox-folder.ts';
import { createSshKey } from './ssh-keys.ts';
import type { SshKeyPair } from './ssh-keys.ts';
import { saveTemplate, restoreTemplate } from './template-database.ts';

const PROJECT = 'main';
const API_KEY = 'sandbox-key';

export interface SandboxOptions {
  /** The folder of a Python environment that has dstack[server]. */
  readonly pythonEnvironment: string;
  /** An empty folder with a short path. Defaults to a temporary folder. `stop` removes its content. */
  readonly folder?: string;
  /** The CLI's home folder, which `stop` removes. Defaults to a folder in the sandbox's. */
  readonly home?: string;
  /** Caches a migrated database here for faster starts. */
  readonly cacheFolder?: string;
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** `default` creates the fleets `cloud`, `on-prem` and `cluster`. Defaults to `default`. */
  readonly fleets?: 'default' | 'none';
  /** `fast` changes the server as described in README.md, so that a run takes a second instead of twenty. Defaults to `fast`. */
  readonly speed?: 'fast' | 'real';
}

/** Controls the simulated infrastructure and the server. */
export interface SandboxControls {
  /** The behavior of jobs, by run name. */
  readonly scenarios: Scenarios;
  /** Prices, capacity, failures and recorded requests of the cloud. */
  readonly cloud: SimulatedCloud;
  /** The current tasks of all machines. */
  readonly tasks: readonly RunningTask[];
  /** Breaks all connections to the container of a task, such as run-0-0, as a network does. Its processes run on. */
  dropConnections(taskName: string): void;
  stopServer(): Promise<void>;
  /** Starts the server again, on the same port. */
  startServer(): Promise<void>;
}

export interface Sandbox {
  readonly url: string;
  readonly token: string;
  readonly project: typeof PROJECT;
  readonly home: string;
  readonly workspace: string;
  /** The dstack executable. */
  readonly cli: string;
  /** The complete environment for the CLI. */
  readonly env: Readonly<Record<string, string>>;
  readonly controls: SandboxControls;
  /** Whether containers run the commands of SSH clients. */
  readonly isolation: Isolation;
  /** Creates another home folder with its own CLI configuration. */
  createHome(options?: { readonly token?: string; readonly url?: string }): Promise<CliHome>;
  createProject(name: string): Promise<void>;
  /** Calls the server's REST API as its administrator. */
  request(path: string, body?: unknown): Promise<unknown>;
  /** Stops everything. Leaves no process, port or file behind. */
  stop(): Promise<void>;
}

/** Starts a dstack server with simulated machines and a simulated cloud. Resolves when it accepts runs. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { onProgress = () => undefined, signal, fleets = 'default' } = options;
  signal?.throwIfAborted();
  const cleanup = new Cleanup();
  try {
    const parts = await startParts(options, cleanup);
    if (fleets === 'default') {
      onProgress('creating the fleets cloud, on-prem and cluster…');
      const { request, hosts, userKey } = parts;
      await createDefaultFleets({ request, project: PROJECT, hosts, key: userKey, signal });
    }
    onProgress(`the sandbox is ready at ${parts.server.url}`);
    return describeSandbox(parts, cleanup);
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

interface Infrastructure {
  readonly cloud: SimulatedCloud;
  readonly machines: Machines;
  readonly isolation: Isolation;
  readonly scenarios: Scenarios;
  readonly hosts: readonly FleetHost[];
  readonly userKey: SshKeyPair;
}

interface Parts extends Infrastructure {
  readonly dstack: InstalledDstack;
  readonly folder: string;
  readonly token: string;
  readonly server: DstackServer;
  readonly request: RestClient;
  readonly home: CliHome;
}

/** The context of the startup steps. */
interface Start {
  readonly options: SandboxOptions;
  readonly cleanup: Cleanup;
  readonly dstack: InstalledDstack;
  readonly location: SandboxFolder;
}

async function startParts(options: SandboxOptions, cleanup: Cleanup): Promise<Parts> {
  const dstack = await findInstalledDstack(options.pythonEnvironment);
  const location = await createSandboxFolder(options.folder);
  cleanup.add(() => removeSandboxFolder(location));
  const { folder } = location;
  const { home: cliHome = path.join(folder, 'home') } = options;
  cleanup.add(() => removeHome(cliHome));
  const start = { options, cleanup, dstack, location };
  const infrastructure = await startInfrastructure(start, () => server.refreshOffers());
  const { server, token } = await startServer(start, infrastructure.cloud);
  const { url } = server;
  const { binFolder } = dstack;
  const home = await createHome({ home: cliHome, url, token, project: PROJECT, binFolder });
  return { ...infrastructure, dstack, folder, token, server, request: createRestClient(url, token), home };
}

async function startInfrastructure(
  { options: { onProgress, fleets = 'default' }, cleanup, dstack, location: { folder } }: Start,
  onOffersChanged: () => Promise<void>,
): Promise<Infrastructure> {
  onProgress?.('starting the simulated machines and cloud…');
  const [isolation, hostKey, userKey] = await Promise.all([
    findIsolation(),
    ...['host', 'user'].map((name) => createSshKey(path.join(folder, 'keys'), name)),
  ]);
  if (hostKey === undefined || userKey === undefined) throw new Error('SSH keys are missing');
  const scenarios = new Scenarios();
  const machines = new Machines({
    hostKey: Buffer.from(hostKey.privateKey),
    scenarios,
    dstackVersion: dstack.version,
    isolation,
  });
  cleanup.add(() => machines.stop());
  const cloud = await SimulatedCloud.start({
    folder: path.join(folder, 'cloud'),
    apiKey: API_KEY,
    startMachine: (offer, id) => machines.startForCloud(offer, id),
    onOffersChanged,
  });
  cleanup.add(() => cloud.stop());
  const hosts = fleets === 'none' ? [] : await startFleetHosts(machines.start);
  return { cloud, machines, isolation, scenarios, hosts, userKey };
}

async function startServer(
  { options, cleanup, dstack, location }: Start,
  { proxyUrl, certificateFile, catalogFolder }: SimulatedCloud,
): Promise<{ server: DstackServer; token: string }> {
  const { cacheFolder, onProgress, signal, speed = 'fast' } = options;
  const { version, python } = dstack;
  const home = path.join(location.folder, 'server');
  const dataFolder = path.join(home, '.dstack', 'server', 'data');
  const { token, isCached } = await restoreTemplate(cacheFolder, version, dataFolder);
  await Promise.all([writeServerConfig(home), skipUpdateCheck(home)]);
  const server = new DstackServer({
    python,
    port: await getPort({ host: '127.0.0.1' }),
    token,
    folder: location.folder,
    home,
    proxyUrl,
    certificateFile,
    catalogFolder,
    speed,
    removedFolders: [
      ...(location.isTemporary ? [location.folder] : []),
      ...(options.home === undefined ? [] : [options.home]),
    ],
  });
  cleanup.add(() => server.stop());
  onProgress?.(`starting dstack server ${version}…${isCached ? '' : ' (the first start takes a few seconds longer)'}`);
  await server.start(signal);
  if (!isCached && cacheFolder !== undefined) await saveTemplate({ cacheFolder, version, dataFolder, token, python });
  return { server, token };
}

function describeSandbox(parts: Parts, cleanup: Cleanup): Sandbox {
  const { dstack, folder, token, server, cloud, machines, isolation, scenarios, request, home } = parts;
  let homes = 0;
  return {
    url: server.url,
    token,
    project: PROJECT,
    ...home,
    cli: dstack.cli,
    controls: {
      scenarios,
      cloud,
      get tasks() {
        return machines.tasks;
      },
      stopServer: () => server.stop(),
      startServer: () => server.start(),
      dropConnections: (taskName) => machines.dropConnections(taskName),
    },
    isolation,
    createHome: async (overrides = {}) => {
      homes += 1;
      const { token: ownToken = token, url = server.url } = overrides;
      const { binFolder } = dstack;
      return await createHome({
        home: path.join(folder, `home-${homes}`),
        url,
        token: ownToken,
        project: PROJECT,
        binFolder,
      });
    },
    createProject: async (name) => {
      await request('/api/projects/create', { project_name: name });
    },
    request,
    stop: () => cleanup.run(),
  };
}

/** Removes the CLI's home folder, and ends the tunnels of its clients. */
async function removeHome(home: string): Promise<void> {
  await endTunnels(home);
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
}

/** Cleanup steps that run once, in reverse order. A failed step doesn't prevent the others. */
class Cleanup {
  readonly #steps: (() => Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }

  /** Runs the steps. A second call waits for the first. */
  run(): Promise<void> {
    this.#running ??= this.#runSteps();
    return this.#running;
  }

  async #runSteps(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.toReversed()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the sandbox did not stop cleanly');
  }
}

async function writeServerConfig(home: string): Promise<void> {
  const creds = { type: 'api_key', api_key: API_KEY };
  const backends = [
    { type: 'cloudrift', creds },
    { type: 'runpod', creds },
  ];
  const folder = path.join(home, '.dstack', 'server');
  await mkdir(folder, { recursive: true });
  const config = stringify({ projects: [{ name: PROJECT, backends }], encryption: { keys: [] } });
  await writeFile(path.join(folder, 'config.yml'), config, { mode: 0o600 });
}
