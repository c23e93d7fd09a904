import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import getPort from 'get-port';
import { stringify } from 'yaml';
import { Cleanup } from './cleanup.ts';
import { SimulatedCloud } from './cloud/simulated-cloud.ts';
import { createHome, skipUpdateCheck } from './create-home.ts';
import type { CliHome } from './create-home.ts';
import { createDefaultFleets, startFleetHosts } from './default-fleets.ts';
import type { FleetHost } from './default-fleets.ts';
import { DstackServer } from './dstack-server.ts';
import { findInstalledDstack } from './installed-dstack.ts';
import type { InstalledDstack } from './installed-dstack.ts';
import { Machines } from './machines.ts';
import type { RunningTask } from './machines.ts';
import { Scenarios } from './machines/scenarios.ts';
import { createRestClient } from './rest-client.ts';
import type { RestClient } from './rest-client.ts';
import { createSandboxFolder, removeSandboxFolder } from './sandbox-folder.ts';
import { createSshKey } from './ssh-keys.ts';
import type { SshKeyPair } from './ssh-keys.ts';
import { keepTemplate, useTemplate } from './template-database.ts';

const PROJECT = 'main';
const API_KEY = 'sandbox-key';

export interface SandboxOptions {
  /** The folder of a Python environment that has dstack[server]. */
  readonly pythonEnvironment: string;
  /** An empty folder with a short path; without it a temporary one is made. Either way its content is gone after `stop`. */
  readonly folder?: string;
  /** Where a migrated database is kept, which makes later starts faster. */
  readonly cacheFolder?: string;
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** `default` makes the fleets `cloud`, `on-prem` and `cluster`, so that a first run works. */
  readonly fleets?: 'default' | 'none';
  /** `fast` shortens the server's background intervals, so that a run takes a second instead of twenty. */
  readonly speed?: 'fast' | 'real';
}

/** What happens behind the server. */
export interface SandboxControls {
  /** How the jobs of a run behave, by the run's name. */
  readonly scenarios: Scenarios;
  /** Prices, capacity and failures of the cloud, and what was asked of it. */
  readonly cloud: SimulatedCloud;
  /** The tasks that are on a machine now. */
  readonly tasks: readonly RunningTask[];
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
  /** The whole environment for a CLI that talks to this sandbox. */
  readonly env: Readonly<Record<string, string>>;
  readonly controls: SandboxControls;
  /** Makes a further home folder, with its own settings of the CLI. */
  createHome(options?: { readonly token?: string; readonly url?: string }): Promise<CliHome>;
  createProject(name: string): Promise<void>;
  /** Asks the server's REST API as its administrator. */
  request(path: string, body?: unknown): Promise<unknown>;
  /** Ends everything; no process, port or file is left. */
  stop(): Promise<void>;
}

/** Starts a real dstack server over simulated machines and a simulated cloud; resolves when the first run can be submitted. */
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

interface Parts {
  readonly dstack: InstalledDstack;
  readonly folder: string;
  readonly token: string;
  readonly server: DstackServer;
  readonly cloud: SimulatedCloud;
  readonly machines: Machines;
  readonly scenarios: Scenarios;
  readonly hosts: readonly FleetHost[];
  readonly userKey: SshKeyPair;
  readonly request: RestClient;
  readonly home: CliHome;
}

async function startParts(options: SandboxOptions, cleanup: Cleanup): Promise<Parts> {
  const {
    pythonEnvironment,
    cacheFolder,
    onProgress = () => undefined,
    signal,
    fleets = 'default',
    speed = 'fast',
  } = options;
  const dstack = await findInstalledDstack(pythonEnvironment);
  const { folder, isOwn } = await createSandboxFolder(options.folder);
  cleanup.add(() => removeSandboxFolder({ folder, isOwn }));
  onProgress('starting the simulated machines and the cloud…');
  const [hostKey, userKey] = await Promise.all(
    ['host', 'user'].map((name) => createSshKey(path.join(folder, 'keys'), name)),
  );
  if (hostKey === undefined || userKey === undefined) throw new Error('there are no keys');
  const scenarios = new Scenarios();
  const machines = new Machines({ hostKey: Buffer.from(hostKey.privateKey), scenarios, dstackVersion: dstack.version });
  cleanup.add(() => machines.stop());
  const cloud = await SimulatedCloud.start({
    folder: path.join(folder, 'cloud'),
    apiKey: API_KEY,
    startMachine: (offer, id) => machines.startForCloud(offer, id),
    onOffersChanged: () => server.refreshOffers(),
  });
  cleanup.add(() => cloud.stop());
  const hosts = fleets === 'none' ? [] : await startFleetHosts(machines.start);
  const port = await getPort({ host: '127.0.0.1' });
  const serverHome = path.join(folder, 'server');
  const dataFolder = path.join(serverHome, '.dstack', 'server', 'data');
  const { token, isKept } = await useTemplate(cacheFolder, dstack.version, dataFolder);
  await Promise.all([writeServerConfig(serverHome), skipUpdateCheck(serverHome)]);
  const server = new DstackServer({
    python: dstack.python,
    port,
    token,
    folder,
    home: serverHome,
    proxyUrl: cloud.proxyUrl,
    certificateFile: cloud.certificateFile,
    catalogFolder: cloud.catalogFolder,
    speed,
    removeFolder: isOwn,
  });
  cleanup.add(() => server.stop());
  onProgress(
    `starting the dstack server ${dstack.version}…${isKept ? '' : ' (its first start takes some seconds longer)'}`,
  );
  await server.start(signal);
  if (!isKept && cacheFolder !== undefined) {
    await keepTemplate({ cacheFolder, version: dstack.version, dataFolder, token, python: dstack.python });
  }
  const { binFolder } = dstack;
  const home = await createHome({
    home: path.join(folder, 'home'),
    url: server.url,
    token,
    project: PROJECT,
    binFolder,
  });
  const request = createRestClient(server.url, token);
  return { dstack, folder, token, server, cloud, machines, scenarios, hosts, userKey, request, home };
}

function describeSandbox(parts: Parts, cleanup: Cleanup): Sandbox {
  const { dstack, folder, token, server, cloud, machines, scenarios, request, home } = parts;
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
    },
    createHome: async (further = {}) => {
      homes += 1;
      const { token: ownToken = token, url = server.url } = further;
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
