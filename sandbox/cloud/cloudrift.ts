import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { CloudAnswer, CloudRequest } from './cloud-service.ts';
import type { Offer } from './offers.ts';

/** The machine of a rented instance. */
export interface Machine {
  readonly address: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** A rented instance, with its offer and whether it is still running. */
export interface RentedInstance {
  readonly id: string;
  readonly offer: Offer;
  readonly rentedAt: Date;
  readonly status: 'Active' | 'Inactive';
}

export interface CloudRiftOptions {
  readonly apiKey: string;
  readonly findOffers: () => readonly Offer[];
  readonly startMachine: (offer: Offer, id: string) => Promise<Machine>;
}

type Rental = { id: string; offer: Offer; rentedAt: Date; machine: Machine; status: 'Active' | 'Inactive' };

const envelope = z.object({ data: z.unknown() });
const rentRequest = z.object({
  selector: z.object({
    ByInstanceTypeAndLocation: z.object({ datacenters: z.array(z.string()), instance_type: z.string() }),
  }),
});
const idsRequest = z.object({ selector: z.object({ ById: z.array(z.string()).optional() }) });

/** Simulates api.cloudrift.ai: rents out simulated machines with limited capacity, and terminates them. */
export class CloudRift {
  /** The boot time of a rented machine. */
  bootMs = 0;
  /** Makes every rental fail with this message. */
  rentFailure: string | undefined;
  readonly #options: CloudRiftOptions;
  readonly #rentals = new Map<string, Rental>();

  constructor(options: CloudRiftOptions) {
    this.#options = options;
  }

  /** All rentals, oldest first. */
  get instances(): readonly RentedInstance[] {
    return [...this.#rentals.values()].map(({ id, offer, rentedAt, status }) => ({ id, offer, rentedAt, status }));
  }

  /** Stops all machines. */
  async stop(): Promise<void> {
    await Promise.all([...this.#rentals.values()].map((rental) => endRental(rental)));
  }

  readonly answer = async ({ path, headers, body }: CloudRequest): Promise<CloudAnswer> => {
    if (headers['x-api-key'] !== this.#options.apiKey) return { status: 401, json: { error: 'unauthorized' } };
    const data = envelope.safeParse(body).data?.data;
    switch (path.replace('/api/v1/', '')) {
      case 'auth/me':
        return ok({ email: 'sandbox@example.test' });
      case 'instance-types/list':
        return ok({ instance_types: [{ name: 'simulated', variants: this.#listVariants() }] });
      case 'recipes/list':
        return ok({ groups: [RECIPES] });
      case 'instances/rent':
        return await this.#rent(rentRequest.parse(data).selector.ByInstanceTypeAndLocation);
      case 'instances/list':
        return ok({ instances: this.#find(data).map((rental) => this.#show(rental)) });
      case 'instances/terminate':
        return await this.#terminate(data);
      default:
        return { status: 404, json: { error: `${path} is not simulated` } };
    }
  };

  #listVariants(): object[] {
    return this.#options.findOffers().map((offer) => ({
      name: offer.instanceType,
      available_nodes_per_dc: { [offer.region]: this.#countAvailable(offer) },
    }));
  }

  #countAvailable(offer: Offer): number {
    const rented = [...this.#rentals.values()].filter(
      (rental) => rental.status === 'Active' && rental.offer.instanceType === offer.instanceType,
    );
    return Math.max(0, offer.available - rented.length);
  }

  async #rent(wanted: { instance_type: string; datacenters: string[] }): Promise<CloudAnswer> {
    if (this.rentFailure !== undefined) return { status: 500, json: { error: this.rentFailure } };
    const offer = this.#options
      .findOffers()
      .find(({ instanceType, region }) => instanceType === wanted.instance_type && wanted.datacenters.includes(region));
    if (offer === undefined || this.#countAvailable(offer) === 0)
      return { status: 500, json: { error: 'no capacity' } };
    const id = randomUUID();
    const machine = await this.#options.startMachine(offer, id);
    this.#rentals.set(id, { id, offer, rentedAt: new Date(), machine, status: 'Active' });
    return ok({ instance_ids: [id] });
  }

  async #terminate(data: unknown): Promise<CloudAnswer> {
    const active = this.#find(data).filter(({ status }) => status === 'Active');
    await Promise.all(active.map((rental) => endRental(rental)));
    return ok({ terminated: active.map(({ id }) => ({ id })) });
  }

  #find(data: unknown): Rental[] {
    const ids = idsRequest.parse(data).selector.ById;
    return [...this.#rentals.values()].filter(({ id, status }) => ids?.includes(id) ?? status === 'Active');
  }

  #show({ id, status, machine, rentedAt }: Rental): object {
    const ready = Date.now() - rentedAt.getTime() >= this.bootMs;
    return {
      id,
      status,
      node_mode: 'VirtualMachine',
      host_address: machine.address,
      virtual_machines: [{ ready }],
      port_mappings: [[22, machine.port]],
    };
  }
}

const RECIPES = {
  name: 'Linux',
  tags: ['vm'],
  recipes: [
    {
      name: 'Ubuntu 24.04',
      tags: ['nvidia-driver'],
      details: { VirtualMachine: { image_url: 'https://images.example.test/ubuntu' } },
    },
  ],
};

async function endRental(rental: Rental): Promise<void> {
  if (rental.status === 'Inactive') return;
  rental.status = 'Inactive';
  await rental.machine.stop();
}

function ok(data: object): CloudAnswer {
  return { status: 200, json: { version: '2026-10-12', data } };
}
