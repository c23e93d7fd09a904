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
  /** Called after offers changed, to have the server forget the old ones. */
  readonly onOffersChanged: () => Promise<void>;
}

/** A cloud with prices and limited capacity, reachable through a proxy and connected to nothing. */
export class SimulatedCloud {
  readonly catalogFolder: string;
  readonly certificateFile: string;
  readonly #options: SimulatedCloudOptions;
  readonly #cloudRift: CloudRift;
  #proxy: HttpsProxy | undefined;
  #offers: readonly Offer[] = DEFAULT_OFFERS;
  #version = 1;

  private constructor(options: SimulatedCloudOptions) {
    this.#options = options;
    this.catalogFolder = path.join(options.folder, 'catalog');
    this.certificateFile = path.join(options.folder, 'proxy-certificate.pem');
    this.#cloudRift = new CloudRift({
      apiKey: options.apiKey,
      findOffers: () => this.#offers,
      startMachine: options.startMachine,
    });
  }

  /** Starts the cloud: its prices are written and its proxy listens. */
  static async start(options: SimulatedCloudOptions): Promise<SimulatedCloud> {
    const cloud = new SimulatedCloud(options);
    await mkdir(options.folder, { recursive: true });
    await writeCatalog(cloud.catalogFolder, cloud.#offers, cloud.#version);
    cloud.#proxy = await startHttpsProxy(
      new Map([
        ['api.cloudrift.ai', cloud.#cloudRift.answer],
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

  /** What is sold, and at what price. */
  get offers(): readonly Offer[] {
    return this.#offers;
  }

  /** Everything that was ever rented, oldest first. */
  get instances(): readonly RentedInstance[] {
    return this.#cloudRift.instances;
  }

  /** Everything that the server asked of the outside, in order. */
  get requests(): readonly RecordedRequest[] {
    return this.#proxy?.requests ?? [];
  }

  /** How long a rented machine takes until it can be reached. */
  get bootMs(): number {
    return this.#cloudRift.bootMs;
  }

  set bootMs(value: number) {
    this.#cloudRift.bootMs = value;
  }

  /** Set to have every rental refused with these words; undefined lets them through again. */
  get rentFailure(): string | undefined {
    return this.#cloudRift.rentFailure;
  }

  set rentFailure(value: string | undefined) {
    this.#cloudRift.rentFailure = value;
  }

  /** Sells something else from now on; the server shows it at once. */
  async setOffers(offers: readonly Offer[]): Promise<void> {
    this.#offers = offers;
    this.#version += 1;
    await writeCatalog(this.catalogFolder, offers, this.#version);
    await this.#options.onOffersChanged();
  }

  /** Changes the price of one instance type, in dollars an hour. */
  async setPrice(instanceType: string, dollarsPerHour: number): Promise<void> {
    await this.setOffers(this.#replace(instanceType, { dollarsPerHour }));
  }

  /** Changes how many of one instance type can be rented at the same time. */
  async setAvailability(instanceType: string, available: number): Promise<void> {
    await this.setOffers(this.#replace(instanceType, { available }));
  }

  /** Goes back to what is sold by default, with everything available and fast. */
  async reset(): Promise<void> {
    this.bootMs = 0;
    this.rentFailure = undefined;
    await this.setOffers(DEFAULT_OFFERS);
  }

  /** Ends the machines and the proxy. */
  async stop(): Promise<void> {
    await this.#cloudRift.stop();
    await this.#proxy?.stop();
  }

  #replace(instanceType: string, change: Partial<Offer>): Offer[] {
    if (!this.#offers.some((offer) => offer.instanceType === instanceType))
      throw new Error(`${instanceType} isn't sold`);
    return this.#offers.map((offer) => (offer.instanceType === instanceType ? { ...offer, ...change } : offer));
  }
}
