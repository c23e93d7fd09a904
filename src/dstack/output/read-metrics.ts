import * as z from 'zod';
import { omitAbsent } from './omit-absent.ts';
import { readTable } from './read-table.ts';
import type { TableRow } from './read-table.ts';

/** What one processor of a job does, or the job's CPU: in dstack's words, the latest sample. */
export const metricsRow = z.looseObject({
  /** As in `replica=0 job=1`. */
  job: z.string().optional(),
  /** `cpu` or `gpu=0`. */
  part: z.string().optional(),
  utilization: z.string().optional(),
  memory: z.string().optional(),
});
type MetricsRow = z.output<typeof metricsRow>;

/** Reads the charts of `dstack metrics` (cli/utils/metrics.py): below two headings, a chart and its last value for each part. */
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
        // Only the first part of a job has its name before it.
        job: label.trim() === '' ? rows.at(-1)?.job : label.trim(),
        part,
        utilization: lastWord(line.slice(utilizationAt, memoryAt)),
        memory: lastWord(line.slice(memoryAt)),
      }),
    );
  }
  return rows;
}

/** Reads a row of the table that it was before 0.21, a job with all its parts in one row; one with other columns is given as it is. */
function readOlderRow({ level, cells }: TableRow): MetricsRow[] {
  const { NAME: name, CPU: cpu, MEMORY: memory, GPU: gpus = '' } = cells;
  if (cpu === undefined || memory === undefined) return [cells];
  // The run's own row, above those of its jobs.
  if (cpu === '') return [];
  // A run with one job has one row, with the name of the run.
  const job = level === 0 ? 'job=0' : name;
  const row = (part: string, utilization: string, used: string): MetricsRow =>
    omitAbsent({ job, part, utilization: lastWord(utilization), memory: lastWord(used) });
  const ofGpus = gpus.matchAll(/(gpu=\d+) mem=(\S+) util=(\S+)/g);
  return [row('cpu', cpu, memory), ...[...ofGpus].map(([, part = '', used = '', util = '']) => row(part, util, used))];
}

/** The value behind a chart; undefined where there is no sample yet. */
const lastWord = (text: string): string | undefined => /(\d\S*)\s*$/.exec(text)?.[1];
