import * as z from 'zod';
import { omitAbsent } from './json-output.ts';

/** One row of a table that dstack printed. */
export interface TableRow {
  /** 0 for a resource, 1 for its parts (an instance of a fleet, a replica or job of a run), which dstack indents. */
  readonly level: 0 | 1;
  /** Trimmed cells by column name; `''` if blank. */
  readonly cells: Readonly<Record<string, string>>;
  /** Cells in columns without a name, such as the availability after the price of an offer. */
  readonly unnamed: readonly string[];
}

/** A table as dstack printed it. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
  /** Whether dstack omitted rows and printed `...` in their place. */
  readonly cutShort: boolean;
  /** Index of the first line after the table. */
  readonly endLine: number;
}

type Column = { readonly name: string; readonly start: number };

// rich draws these tables without borders: uppercase names, each cell left-aligned under its name, two spaces between
// columns (one of padding on each side). `#` and `$/GPU` are the only names that aren't words.
const COLUMN_NAME = /(?:#|\$\/GPU|[A-Z][A-Z]*(?: [A-Z]+)*)(?= {2}|\s*$)/g;
const HEADER = /^ ?(?:#|\$\/GPU|[A-Z]{2,}(?: [A-Z]+)*)(?: {2,}(?:\$\/GPU|[A-Z]{2,}(?: [A-Z]+)*))+\s*$/;
const CELL_GAP = / {2,}/;

// rich counts these as two terminal cells, JavaScript as one character: without a filler, the columns after them shift.
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uFF01-\uFF60]/gu;
const FILLER = '\u0000';

/** Returns the text with each character at its terminal column. */
const layOut = (line: string): string => line.replace(WIDE, (char) => (char.length === 2 ? char : char + FILLER));

/** Returns the raw cells of a line; undefined if it doesn't fit the columns, so that it isn't part of the table. */
function sliceCells(line: string, columns: readonly Column[]): string[] | undefined {
  const laid = layOut(line);
  const fits = columns.slice(1).every(({ start }) => laid.slice(Math.max(0, start - 2), start).trim() === '');
  if (!fits || laid.slice(0, columns[0]?.start).trim() !== '') return undefined;
  return columns.map(({ start }, index) =>
    laid
      .slice(start, columns[index + 1]?.start)
      .replaceAll(FILLER, '')
      .trimEnd(),
  );
}

type RowDraft = TableRow & { readonly cells: Record<string, string> };

/** Adds a line that rich wrapped to the row it continues. */
function continueRow(row: RowDraft, cells: readonly string[], columns: readonly Column[]): void {
  for (const [index, { name }] of columns.entries())
    row.cells[name] = `${row.cells[name] ?? ''} ${cells[index]?.trim() ?? ''}`.trim();
}

function draftRow(cells: readonly string[], columns: readonly Column[]): RowDraft {
  // A column without a name is inside the slice of the named column before it, separated by a gap.
  const parts = columns.map(({ name }, index) => ({ name, texts: (cells[index] ?? '').trim().split(CELL_GAP) }));
  return {
    level: /^\s/.test(cells[0] ?? '') ? 1 : 0,
    cells: Object.fromEntries(parts.map(({ name, texts }) => [name, texts[0] ?? ''])),
    unnamed: parts.flatMap(({ texts }) => texts.slice(1)),
  };
}

/** Parses the first table at or after a line; undefined if there is none. */
export function readTable(lines: readonly string[], fromLine = 0): Table | undefined {
  const headerLine = lines.findIndex((line, index) => index >= fromLine && HEADER.test(line));
  if (headerLine === -1) return undefined;
  const names = [...(lines[headerLine] ?? '').matchAll(COLUMN_NAME)];
  const columns = names.map((match): Column => ({ name: match[0], start: match.index }));
  const rows: RowDraft[] = [];
  let cutShort = false;
  let line = headerLine + 1;
  for (; line < lines.length; line += 1) {
    const text = lines[line] ?? '';
    const cells = text.trim() === '' ? undefined : sliceCells(text, columns);
    const last = rows.at(-1);
    if (cells === undefined) break;
    if (cells.filter((cell) => cell.trim() !== '').join() === '...') cutShort = true;
    else if (cells[0]?.trim() === '' && last !== undefined) continueRow(last, cells, columns);
    else rows.push(draftRow(cells, columns));
  }
  return { columns: columns.map(({ name }) => name), rows, cutShort, endLine: line };
}

// Every configurator's plan starts with this row (services/configurators/*.py, utils/run.py, services/presets/create.py).
const FIRST_ROW = /^ Project {2,}(?=\S)/;

/** Parses the table of properties at the start of each plan: its values by label, verbatim, as in `Type` -> `task (nodes=1)`. */
export function readProperties(lines: readonly string[]) {
  const startLine = lines.findIndex((line) => FIRST_ROW.test(line));
  const valueStart = FIRST_ROW.exec(lines[startLine] ?? '')?.[0].length;
  if (valueStart === undefined) return undefined;
  const values: Record<string, string> = {};
  let label: string | undefined;
  let line = startLine;
  for (; line < lines.length; line += 1) {
    const text = lines[line] ?? '';
    if (!text.startsWith(' ') || text.trim() === '') break;
    const key = text.slice(0, valueStart).trim();
    const value = text.slice(valueStart).trim();
    if (key !== '') label = key;
    // A value wider than the terminal continues on the next line, with a blank label.
    if (label !== undefined) values[label] = key === '' ? `${values[label] ?? ''} ${value}`.trim() : value;
  }
  /** `endLine` is that of the first line after the table. */
  return { values, startLine, endLine: line };
}

/** Parses a price as dstack prints it (`$0.39`) into dollars; undefined if it isn't one. */
export function readPrice(text: string | undefined): number | undefined {
  const digits = /^\$(\d+(?:\.\d+)?)(?: \(spot\))?$/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Parses backend and region from `cloudrift (us-east-nc-nr-1)`, as format_backend (cli/utils/common.py) prints them. */
export function readBackend(text: string): { readonly backend: string; readonly region?: string } {
  const parts = /^(\S+) \((.+)\)$/.exec(text);
  const [, backend = text, region] = parts ?? [];
  return region === undefined ? { backend } : { backend, region };
}

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
