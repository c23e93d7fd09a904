import { pickAddresses } from './addresses.ts';
import type { Machine } from './cloud/cloudrift.ts';
import type { Offer } from './cloud/offers.ts';
import { SimulatedHost } from './machines/simulated-host.ts';
import type { HostHardware, SimulatedHostOptions, SimulatedTask } from './machines/simulated-host.ts';

const GIB = 2 ** 30;

/** A task with the name of its machine. */
export interface RunningTask extends SimulatedTask {
  readonly host: string;
}

/** Starts a machine on an address. */
export type StartMachine = (name: string, hardware: HostHardware, bind: string) => Promise<SimulatedHost>;

/** All simulated machines of a sandbox, both of SSH fleets and of the cloud. */
export class Machines {
  readonly #common: Pick<SimulatedHostOptions, 'hostKey' | 'scenarios' | 'dstackVersion' | 'isolation'>;
  readonly #hosts = new Map<SimulatedHost, string>();

  constructor(common: Pick<SimulatedHostOptions, 'hostKey' | 'scenarios' | 'dstackVersion' | 'isolation'>) {
    this.#common = common;
  }

  /** The current tasks of all machines. */
  get tasks(): readonly RunningTask[] {
    return [...this.#hosts].flatMap(([{ tasks }, host]) => tasks.map((task) => ({ host, ...task })));
  }

  readonly start: StartMachine = async (name, hardware, bind) => {
    const host = await SimulatedHost.start({ ...this.#common, name, hardware }, { address: bind });
    this.#hosts.set(host, name);
    return host;
  };

  /** Starts the machine of a rented instance. */
  async startForCloud(offer: Offer, id: string): Promise<Machine> {
    const [address] = await pickAddresses(1);
    if (address === undefined) throw new Error('no address for a machine');
    const hardware: HostHardware = {
      gpuName: offer.gpuName.startsWith('RTX') ? `GeForce RTX ${offer.gpuName.slice(3)}` : offer.gpuName,
      gpuMemoryMiB: offer.gpuMemoryGb * 1024,
      gpuCount: offer.gpuCount,
      cpus: offer.cpus,
      memoryBytes: offer.memoryGb * GIB,
      diskBytes: offer.diskGb * GIB,
      address: '10.1.0.1/24',
    };
    const host = await this.start(`${offer.instanceType}-${id.slice(0, 6)}`, hardware, address.bind);
    return { address: address.bind, port: host.port, stop: () => this.#end(host) };
  }

  /** Breaks the SSH connections to a task's container. */
  dropConnections(taskName: string): void {
    for (const host of this.#hosts.keys()) host.dropConnections(taskName);
  }

  /** Stops all machines. */
  async stop(): Promise<void> {
    await Promise.all([...this.#hosts.keys()].map((host) => this.#end(host)));
  }

  async #end(host: SimulatedHost): Promise<void> {
    this.#hosts.delete(host);
    await host.stop();
  }
}
