import * as z from 'zod';
import { omitAbsent } from './omit-absent.ts';
import { readBackend, readPrice } from './read-offers.ts';
import { readTable } from './read-table.ts';
import type { TableRow } from './read-table.ts';

/** An instance as `dstack fleet` lists it under its fleet. */
const instanceRow = z.object({
  instance: z.number(),
  status: z.string(),
  backend: z.string().optional(),
  region: z.string().optional(),
  gpu: z.string().optional(),
  spot: z.boolean().optional(),
  pricePerHour: z.number().optional(),
  created: z.string().optional(),
  error: z.string().optional(),
});

/** A fleet as `dstack fleet` lists it. */
export const fleetRow = z.object({
  name: z.string(),
  status: z.string(),
  /** As in `0..2`; for SSH fleets the number of hosts. */
  nodes: z.string().optional(),
  backend: z.string().optional(),
  gpu: z.string().optional(),
  spot: z.string().optional(),
  maxPrice: z.string().optional(),
  created: z.string().optional(),
  instances: z.array(instanceRow),
});

type InstanceRow = z.output<typeof instanceRow>;
export type FleetRow = z.output<typeof fleetRow>;

const unlessBlank = (cell: string | undefined): string | undefined => (cell === '' || cell === '-' ? undefined : cell);

function readGpu(cells: TableRow['cells']): string | undefined {
  return /(?:^| )gpu=(\S+)/.exec(cells['GPU'] ?? cells['RESOURCES'] ?? '')?.[1] ?? unlessBlank(cells['GPU']);
}

function readInstance({ cells }: TableRow): InstanceRow {
  const { backend, region } = readBackend(cells['BACKEND'] ?? '');
  const spot = unlessBlank(cells['SPOT']);
  return omitAbsent({
    instance: Number(/^instance=(\d+)/.exec(cells['NAME'] ?? '')?.[1] ?? Number.NaN),
    status: cells['STATUS'] ?? '',
    backend: unlessBlank(backend),
    region,
    gpu: readGpu(cells),
    spot: spot === undefined ? undefined : spot === 'spot',
    pricePerHour: readPrice(cells['PRICE']),
    created: unlessBlank(cells['CREATED']),
    error: unlessBlank(cells['ERROR']),
  });
}

function readFleetRow({ cells }: TableRow): FleetRow {
  return omitAbsent({
    name: cells['NAME'] ?? '',
    status: cells['STATUS'] ?? '',
    nodes: unlessBlank(cells['NODES']),
    backend: unlessBlank(cells['BACKEND']),
    gpu: readGpu(cells),
    spot: unlessBlank(cells['SPOT']),
    maxPrice: unlessBlank(cells['PRICE']),
    created: unlessBlank(cells['CREATED']),
    instances: [],
  });
}

/** Reads the table of `dstack fleet`: one row a fleet, its instances under it; undefined where it isn't that table (0.19 has another). */
export function readFleets(stdout: string): FleetRow[] | undefined {
  const table = readTable(stdout.split('\n'));
  if (table === undefined || !table.columns.includes('NODES')) return undefined;
  const fleets: FleetRow[] = [];
  for (const row of table.rows) {
    if (row.level === 0) fleets.push(readFleetRow(row));
    else fleets.at(-1)?.instances.push(readInstance(row));
  }
  return fleets;
}

/** Dollars an hour of all instances that there are; undefined where one of them has no price that can be read. */
export function sumPrices(fleets: readonly FleetRow[]): number | undefined {
  let sum = 0;
  for (const { status, backend, pricePerHour } of fleets.flatMap(({ instances }) => instances)) {
    // A machine of one's own, in an SSH fleet, has no price.
    if (/terminat/i.test(status) || backend === 'ssh') continue;
    if (pricePerHour === undefined) return undefined;
    sum += pricePerHour;
  }
  return sum;
}
