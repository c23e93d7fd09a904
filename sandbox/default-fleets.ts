import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { pickAddresses } from './addresses.ts';
import type { StartMachine } from './machines.ts';
import type { HostHardware, SimulatedHost } from './machines/simulated-host.ts';
import type { RestClient } from './rest-client.ts';
import type { SshKeyPair } from './ssh-keys.ts';

const GIB = 2 ** 30;

interface HostPlan {
  readonly fleet: string;
  readonly name: string;
  readonly hardware: Omit<HostHardware, 'address'>;
  readonly blocks?: number;
}

const CPU_HOST = { gpuCount: 0, cpus: 8, memoryBytes: 32 * GIB, diskBytes: 200 * GIB };
// Has room for many runs, so that one run doesn't take the idle machine from another's plan, which would raise its price.
const SHARED_HOST = { gpuCount: 0, cpus: 16, memoryBytes: 64 * GIB, diskBytes: 400 * GIB };
const A100_HOST = {
  gpuName: 'A100-SXM4-80GB',
  gpuMemoryMiB: 81_920,
  gpuCount: 1,
  cpus: 16,
  memoryBytes: 128 * GIB,
  diskBytes: 500 * GIB,
};

const HOSTS: readonly HostPlan[] = [
  { fleet: 'on-prem', name: 'gpu-1', hardware: A100_HOST },
  { fleet: 'on-prem', name: 'cpu-1', hardware: SHARED_HOST, blocks: 8 },
  { fleet: 'on-prem', name: 'cpu-2', hardware: SHARED_HOST, blocks: 8 },
  { fleet: 'cluster', name: 'node-1', hardware: CPU_HOST },
  { fleet: 'cluster', name: 'node-2', hardware: CPU_HOST },
];

/** A running host of a default fleet. */
export interface FleetHost {
  readonly plan: HostPlan;
  readonly host: SimulatedHost;
  readonly hostname: string;
}

/** Starts the hosts of the default SSH fleets. */
export async function startFleetHosts(start: StartMachine): Promise<FleetHost[]> {
  const addresses = await pickAddresses(HOSTS.length);
  return await Promise.all(
    HOSTS.map(async (plan, index) => {
      const address = addresses[index];
      if (address === undefined) throw new Error(`no address for ${plan.name}`);
      // dstack requires the hosts of a cluster to share a network.
      const hardware = { ...plan.hardware, address: `10.0.0.${index + 1}/24` };
      return { plan, host: await start(plan.name, hardware, address.bind), hostname: address.hostname };
    }),
  );
}

export interface DefaultFleetsOptions {
  readonly request: RestClient;
  readonly project: string;
  readonly hosts: readonly FleetHost[];
  readonly key: SshKeyPair;
  readonly signal?: AbortSignal | undefined;
}

/** Creates the fleets `cloud`, `on-prem` and `cluster`, and waits until all their hosts are idle. */
export async function createDefaultFleets({
  request,
  project,
  hosts,
  key,
  signal,
}: DefaultFleetsOptions): Promise<void> {
  const apply = (configuration: object) =>
    request(`/api/project/${project}/fleets/apply`, {
      plan: { spec: { configuration: { type: 'fleet', ...configuration }, profile: {} } },
      force: false,
    });
  const toSshConfig = (fleet: string) => ({
    user: 'sandbox',
    ssh_key: { public: key.publicKey, private: key.privateKey },
    hosts: hosts
      .filter(({ plan }) => plan.fleet === fleet)
      .map(({ plan, host, hostname }) => ({
        hostname,
        port: host.port,
        blocks: plan.blocks ?? 1,
      })),
  });
  await apply({ name: 'cloud', nodes: '0..4', backends: ['cloudrift'], idle_duration: '0s' });
  await apply({ name: 'on-prem', ssh_config: toSshConfig('on-prem') });
  await apply({
    name: 'cluster',
    placement: 'cluster',
    ssh_config: { ...toSshConfig('cluster'), network: '10.0.0.0/8' },
  });
  await waitForHosts(request, project, signal);
}

const fleetList = z.array(
  z.object({
    name: z.string(),
    instances: z.array(z.object({ status: z.string(), termination_reason: z.string().nullish() })),
  }),
);

async function waitForHosts(request: RestClient, project: string, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    const fleets = fleetList.parse(await request(`/api/project/${project}/fleets/list`));
    const instances = fleets.flatMap((fleet) =>
      fleet.instances.map((instance) => ({ fleet: fleet.name, ...instance })),
    );
    const lost = instances.find(({ status }) => status === 'terminated' || status === 'terminating');
    if (lost !== undefined)
      throw new Error(`a host of fleet ${lost.fleet} failed: ${lost.termination_reason ?? lost.status}`);
    if (instances.length === HOSTS.length && instances.every(({ status }) => status === 'idle')) return;
    await delay(100);
  }
}
