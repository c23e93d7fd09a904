import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CloudRift } from './cloudrift.ts';
import type { Machine, RentedInstance } from './cloudrift.ts';
import { answerAsDockerHub } from './docker-hub.ts';
import { startHttpsProxy } from './https-proxy.ts';
import type { HttpsProxy, RecordedRequest } from './https-proxy.ts';
import { DEFAULT_OFFERS } from './offers.ts';
import type { Offer } from './offers.ts';
import { createRunPod } from './runpod.ts';
import { writeCatalog } from './write-catalog.ts';

export interface SimulatedCloudOptions {
  readonly folder: string;
  readonly apiKey: string;
  readonly startMachine: (offer: Offer, id: string) => Promise<Machine>;
  /** Called when the offers change, to clear the server's caches. */
  readonly onOffersChanged: () => Promise<void>;
}

/** A cloud with prices and limited capacity behind a proxy, without any connection to the outside. */
export class SimulatedCloud {
  readonly catalogFolder: string;
  readonly certificateFile: string;
  readonly #options: SimulatedCloudOptions;
  /** The rentals of machines, with their faults. */
  readonly cloudRift: CloudRift;
  #proxy: HttpsProxy | undefined;
  #offers: readonly Offer[] = DEFAULT_OFFERS;
  #version = 1;

  private constructor(options: SimulatedCloudOptions) {
    this.#options = options;
    this.catalogFolder = path.join(options.folder, 'catalog');
    this.certificateFile = path.join(options.folder, 'proxy-certificate.pem');
    this.cloudRift = new CloudRift({
      apiKey: options.apiKey,
      findOffers: () => this.#offers,
      startMachine: options.startMachine,
    });
  }

  /** Writes the price catalog and starts the proxy. */
  static async start(options: SimulatedCloudOptions): Promise<SimulatedCloud> {
    const cloud = new SimulatedCloud(options);
    await mkdir(options.folder, { recursive: true });
    await writeCatalog(cloud.catalogFolder, cloud.#offers, cloud.#version);
    cloud.#proxy = await startHttpsProxy(
      new Map([
        ['api.cloudrift.ai', cloud.cloudRift.answer],
        ['api.runpod.io', createRunPod()],
        ['index.docker.io', answerAsDockerHub],
      ]),
    );
    await writeFile(cloud.certificateFile, cloud.#proxy.certificate);
    return cloud;
  }

  get proxyUrl(): string {
    return this.#proxy?.url ?? '';
  }

  /** The current offers. */
  get offers(): readonly Offer[] {
    return this.#offers;
  }

  /** All rentals, oldest first. */
  get instances(): readonly RentedInstance[] {
    return this.cloudRift.instances;
  }

  /** All requests of the server to the outside, in order. */
  get requests(): readonly RecordedRequest[] {
    return this.#proxy?.requests ?? [];
  }

  /** Replaces the offers. The server shows them immediately. */
  async setOffers(offers: readonly Offer[]): Promise<void> {
    this.#offers = offers;
    this.#version += 1;
    await writeCatalog(this.catalogFolder, offers, this.#version);
    await this.#options.onOffersChanged();
  }

  /** Changes the price of one instance type. */
  async setPrice(instanceType: string, dollarsPerHour: number): Promise<void> {
    await this.setOffers(this.#replace(instanceType, { dollarsPerHour }));
  }

  /** Changes how many of one instance type can be rented at the same time. */
  async setAvailability(instanceType: string, available: number): Promise<void> {
    await this.setOffers(this.#replace(instanceType, { available }));
  }

  /** Restores the default offers, boot time and capacity. */
  async reset(): Promise<void> {
    this.cloudRift.bootMs = 0;
    this.cloudRift.rentFailure = undefined;
    await this.setOffers(DEFAULT_OFFERS);
  }

  /** Stops the machines and the proxy. */
  async stop(): Promise<void> {
    await this.cloudRift.stop();
    await this.#proxy?.stop();
  }

  #replace(instanceType: string, change: Partial<Offer>): Offer[] {
    if (!this.#offers.some((offer) => offer.instanceType === instanceType))
      throw new Error(`unknown instance type: ${instanceType}`);
    return this.#offers.map((offer) => (offer.instanceType === instanceType ? { ...offer, ...change } : offer));
  }
}
