import * as z from 'zod';
import { omitAbsent } from './json-output.ts';
import { readBackend, readPrice } from './read-offers.ts';
import { readTable } from './read-table.ts';
import type { TableRow } from './read-table.ts';

/** dstack prints `-`, or nothing, for a value that is missing. */
const unlessBlank = (cell: string | undefined): string | undefined => (cell === '' || cell === '-' ? undefined : cell);

const place = {
  status: z.string(),
  backend: z.string().optional(),
  region: z.string().optional(),
  gpu: z.string().optional(),
  pricePerHour: z.number().optional(),
  error: z.string().optional(),
};

const jobPlace = { ...place, instanceType: z.string().optional(), submitted: z.string().optional() };

const readGpu = (cells: TableRow['cells']): string | undefined =>
  /(?:^| )gpu=(\S+)/.exec(cells['GPU'] ?? cells['RESOURCES'] ?? '')?.[1] ?? unlessBlank(cells['GPU']);

function readPlace({ cells }: TableRow) {
  const { backend, region } = readBackend(cells['BACKEND'] ?? '');
  return omitAbsent({
    status: cells['STATUS'] ?? '',
    backend: unlessBlank(backend),
    region,
    gpu: readGpu(cells),
    pricePerHour: readPrice(cells['PRICE']),
    error: unlessBlank(cells['ERROR']),
    instanceType: unlessBlank(cells['INSTANCE TYPE']),
    submitted: unlessBlank(cells['SUBMITTED']),
  });
}

/** Groups each row of a table with the indented ones below it. Returns undefined if it lacks one of these columns. */
function readGroups(stdout: string, columns: readonly string[]) {
  const table = readTable(stdout.split('\n'));
  if (table === undefined || !columns.every((name) => table.columns.includes(name))) return undefined;
  const groups: { readonly head: TableRow; readonly parts: TableRow[] }[] = [];
  for (const row of table.rows)
    if (row.level === 0) groups.push({ head: row, parts: [] });
    else groups.at(-1)?.parts.push(row);
  return groups;
}

/** A run as `dstack ps` lists it. The status is dstack's display text (`no capacity`, `exited (1)`), not one of the run's states. */
export const runRow = z.object({
  name: z.string(),
  ...jobPlace,
  /** The jobs, if there are several; otherwise the run's own row is the job's. */
  jobs: z.array(z.object({ label: z.string(), ...jobPlace })).optional(),
});

export type RunRow = z.output<typeof runRow>;

/** Parses the table of `dstack ps`: one row per run, its jobs below it. Returns undefined if it isn't that table. */
export const readRuns = (stdout: string): RunRow[] | undefined =>
  readGroups(stdout, ['NAME', 'STATUS'])?.map(({ head, parts }) => ({
    // ` deployment=2` follows the name while a service is being updated, or with -v.
    name: head.cells['NAME']?.split(' ')[0] ?? '',
    ...readPlace(head),
    ...(parts.length === 0
      ? {}
      : { jobs: parts.map((job) => ({ label: job.cells['NAME'] ?? '', ...readPlace(job) })) }),
  }));

/**
 * Keeps the rows of `dstack ps` whose name contains a text, with the jobs below them, and all other lines, verbatim. dstack indents a
 * run by one space, and its jobs by more.
 */
export function selectRows(stdout: string, name: string): string {
  const lines = stdout.split('\n');
  const header = lines.findIndex((line) => /^ ?NAME {2,}/.test(line));
  if (header === -1) return stdout;
  let isKept = true;
  const rows = lines.slice(header + 1).filter((line) => {
    const [, own] = /^ ?(\S+)/.exec(line) ?? [];
    isKept = own === undefined ? isKept : own.includes(name);
    return isKept;
  });
  return [...lines.slice(0, header + 1), ...rows].join('\n');
}

/** An instance as `dstack fleet` lists it below its fleet. */
const instanceRow = z.object({
  instance: z.number(),
  ...place,
  spot: z.boolean().optional(),
  created: z.string().optional(),
});

/** A fleet as `dstack fleet` lists it. */
export const fleetRow = z.object({
  name: z.string(),
  status: z.string(),
  /** As in `0..2`; for SSH fleets, the number of hosts. */
  nodes: z.string().optional(),
  backend: z.string().optional(),
  gpu: z.string().optional(),
  spot: z.string().optional(),
  maxPrice: z.string().optional(),
  created: z.string().optional(),
  instances: z.array(instanceRow),
  /** The number of instances, if `instances` has only the first of them. */
  instancesTotal: z.number().optional(),
});

export type FleetRow = z.output<typeof fleetRow>;

function readInstance(row: TableRow): FleetRow['instances'][number] {
  const { NAME: name = '', SPOT: spot, CREATED: created } = row.cells;
  return omitAbsent({
    instance: Number(/^instance=(\d+)/.exec(name)?.[1] ?? Number.NaN),
    ...readPlace(row),
    spot: unlessBlank(spot) === undefined ? undefined : spot === 'spot',
    created: unlessBlank(created),
  });
}

/** Parses the table of `dstack fleet`: one row per fleet, its instances below it. Returns undefined if it isn't that table (0.19 prints another). */
export const readFleets = (stdout: string): FleetRow[] | undefined =>
  readGroups(stdout, ['NODES'])?.map(({ head: { cells }, parts }) =>
    omitAbsent({
      name: cells['NAME'] ?? '',
      status: cells['STATUS'] ?? '',
      nodes: unlessBlank(cells['NODES']),
      backend: unlessBlank(cells['BACKEND']),
      gpu: readGpu(cells),
      spot: unlessBlank(cells['SPOT']),
      maxPrice: unlessBlank(cells['PRICE']),
      created: unlessBlank(cells['CREATED']),
      instances: parts.map(readInstance),
    }),
  );

/** Returns the hourly price of all existing instances; undefined if the price of one of them can't be read. */
export function sumPrices(fleets: readonly FleetRow[]): number | undefined {
  let sum = 0;
  for (const { status, backend, pricePerHour } of fleets.flatMap(({ instances }) => instances)) {
    // On-premises hosts in SSH fleets have no price.
    if (/terminat/i.test(status) || backend === 'ssh') continue;
    if (pricePerHour === undefined) return undefined;
    sum += pricePerHour;
  }
  return sum;
}

/** The latest sample of one GPU of a job, or of the job's CPU, as dstack prints it. */
export const metricsRow = z.object({
  /** As in `replica=0 job=1`. */
  job: z.string().optional(),
  /** `cpu` or `gpu=0`. */
  part: z.string(),
  utilization: z.string().optional(),
  memory: z.string().optional(),
});
type MetricsRow = z.output<typeof metricsRow>;

/** Parses the charts of `dstack metrics` (cli/utils/metrics.py): below two headings, a chart and its latest value for each part. */
export function readMetrics(stdout: string): MetricsRow[] {
  const lines = stdout.split('\n');
  const start = lines.findIndex((line) => /^ +UTILIZATION +MEMORY *$/.test(line));
  if (start === -1) return (readTable(lines)?.rows ?? []).flatMap(readOlderRow);
  const utilizationAt = (lines[start] ?? '').indexOf('UTILIZATION');
  const memoryAt = (lines[start] ?? '').indexOf('MEMORY');
  const rows: MetricsRow[] = [];
  for (const line of lines.slice(start + 1)) {
    const [, label = '', part] = /^(.*?)(cpu|gpu=\d+) *$/.exec(line.slice(0, utilizationAt)) ?? [];
    if (part === undefined) continue;
    rows.push(
      omitAbsent({
        // Only the first part of a job is preceded by its name.
        job: label.trim() === '' ? rows.at(-1)?.job : label.trim(),
        part,
        utilization: lastWord(line.slice(utilizationAt, memoryAt)),
        memory: lastWord(line.slice(memoryAt)),
      }),
    );
  }
  return rows;
}

/** Parses a row of the table printed before 0.21: a job with all its parts in one row. */
function readOlderRow({ level, cells }: TableRow): MetricsRow[] {
  const { NAME: name, CPU: cpu, MEMORY: memory, GPU: gpus = '' } = cells;
  // The run's own row, above those of its jobs, has no values.
  if (cpu === undefined || cpu === '' || memory === undefined) return [];
  // A run with one job has one row, with the name of the run.
  const job = level === 0 ? 'job=0' : name;
  const row = (part: string, utilization: string, used: string): MetricsRow =>
    omitAbsent({ job, part, utilization: lastWord(utilization), memory: lastWord(used) });
  const ofGpus = gpus.matchAll(/(gpu=\d+) mem=(\S+) util=(\S+)/g);
  return [row('cpu', cpu, memory), ...[...ofGpus].map(([, part = '', used = '', util = '']) => row(part, util, used))];
}

/** Returns the value after a chart; undefined if there is no sample yet. */
const lastWord = (text: string): string | undefined => /(\d\S*)\s*$/.exec(text)?.[1];

/** Keeps the first instances of all fleets together. A fleet with fewer than it has says how many there are. */
export function limitInstances(fleets: readonly FleetRow[], max: number): FleetRow[] {
  let room = max;
  return fleets.map((fleet) => {
    const instances = fleet.instances.slice(0, room);
    room -= instances.length;
    const total = fleet.instances.length;
    return instances.length === total ? fleet : { ...fleet, instances, instancesTotal: total };
  });
}
