/** One instance type of the simulated cloud, as dstack's price catalog describes it. */
export interface Offer {
  readonly instanceType: string;
  readonly region: string;
  readonly dollarsPerHour: number;
  readonly cpus: number;
  readonly memoryGb: number;
  readonly gpuName: string;
  readonly gpuMemoryGb: number;
  readonly gpuCount: number;
  readonly diskGb: number;
  /** How many can be rented at the same time. dstack shows 0 as "not available". */
  readonly available: number;
}

const EAST = 'us-east-nc-nr-1';
const NORTH = 'eu-north-fi-1';

/** The cloud's default offers: cheap and expensive, available and sold out, in two regions. */
export const DEFAULT_OFFERS: readonly Offer[] = [
  describe('rtx4090.1', EAST, { price: 0.39, gpu: 'RTX4090', gpuMemoryGb: 24, gpuCount: 1, available: 4 }),
  describe('rtx5090.1', EAST, { price: 0.65, gpu: 'RTX5090', gpuMemoryGb: 32, gpuCount: 1, available: 2 }),
  describe('rtx4090.2', NORTH, { price: 0.78, gpu: 'RTX4090', gpuMemoryGb: 24, gpuCount: 2, available: 0 }),
  describe('rtx5090.2', EAST, { price: 1.3, gpu: 'RTX5090', gpuMemoryGb: 32, gpuCount: 2, available: 1 }),
  describe('a100.1', EAST, { price: 1.85, gpu: 'A100', gpuMemoryGb: 80, gpuCount: 1, available: 4 }),
  describe('h100.1', NORTH, { price: 2.99, gpu: 'H100', gpuMemoryGb: 80, gpuCount: 1, available: 4 }),
  describe('a100.8', EAST, { price: 14.8, gpu: 'A100', gpuMemoryGb: 80, gpuCount: 8, available: 0 }),
  describe('h100.8', NORTH, { price: 23.92, gpu: 'H100', gpuMemoryGb: 80, gpuCount: 8, available: 1 }),
  describe('h200.8', NORTH, { price: 31.6, gpu: 'H200', gpuMemoryGb: 141, gpuCount: 8, available: 0 }),
];

interface Essentials {
  readonly price: number;
  readonly gpu: string;
  readonly gpuMemoryGb: number;
  readonly gpuCount: number;
  readonly available: number;
}

function describe(instanceType: string, region: string, essentials: Essentials): Offer {
  const { price, gpu, gpuMemoryGb, gpuCount, available } = essentials;
  return {
    instanceType,
    region,
    dollarsPerHour: price,
    cpus: 8 * gpuCount,
    memoryGb: 48 * gpuCount,
    gpuName: gpu,
    gpuMemoryGb,
    gpuCount,
    diskGb: 500,
    available,
  };
}
