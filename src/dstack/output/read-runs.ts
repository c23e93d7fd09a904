import * as z from 'zod';
import { omitAbsent } from './omit-absent.ts';
import { readBackend, readPrice } from './read-offers.ts';
import { readTable } from './read-table.ts';
import type { TableRow } from './read-table.ts';

const place = {
  status: z.string(),
  backend: z.string().optional(),
  region: z.string().optional(),
  gpu: z.string().optional(),
  instanceType: z.string().optional(),
  pricePerHour: z.number().optional(),
  submitted: z.string().optional(),
  error: z.string().optional(),
};

/** A run as `dstack ps` lists it. The status is dstack's wording (`no capacity`, `exited (1)`), not one of the run's states. */
export const runRow = z.object({
  name: z.string(),
  ...place,
  /** The jobs, where there are several; else the run's own row is the job's. */
  jobs: z.array(z.object({ label: z.string(), ...place })).optional(),
});

export type RunRow = z.output<typeof runRow>;

// utils/run.py prints `-` where there is no machine (yet).
const unlessDash = (cell: string | undefined): string | undefined =>
  cell === undefined || cell === '' || cell === '-' ? undefined : cell;

function readPlace({ cells }: TableRow): Omit<RunRow, 'name' | 'jobs'> {
  const { backend, region } = readBackend(cells['BACKEND'] ?? '');
  const gpu = unlessDash(cells['GPU']) ?? cells['RESOURCES'];
  return omitAbsent({
    status: cells['STATUS'] ?? '',
    backend: unlessDash(backend),
    region,
    gpu: /(?:^| )gpu=(\S+)/.exec(gpu ?? '')?.[1],
    instanceType: unlessDash(cells['INSTANCE TYPE']),
    pricePerHour: readPrice(cells['PRICE']),
    submitted: unlessDash(cells['SUBMITTED']),
    error: unlessDash(cells['ERROR']),
  });
}

/** Reads the table of `dstack ps`: one row a run, its jobs under it; undefined where it isn't that table. */
export function readRuns(stdout: string): RunRow[] | undefined {
  const table = readTable(stdout.split('\n'));
  if (table === undefined || !['NAME', 'STATUS'].every((name) => table.columns.includes(name))) return undefined;
  const runs: RunRow[] = [];
  for (const row of table.rows) {
    // ` deployment=2` behind the name, while a service is being updated or with -v.
    const label = row.cells['NAME'] ?? '';
    const last = runs.at(-1);
    if (row.level === 0) runs.push({ name: label.split(' ')[0] ?? label, ...readPlace(row) });
    else if (last !== undefined) last.jobs = [...(last.jobs ?? []), { label, ...readPlace(row) }];
  }
  return runs;
}
