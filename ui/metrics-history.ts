import { factsListOf, optional, textOf } from './read.ts';
import type { Facts } from './read.ts';

/** One processor's values of the last hour, from 0 to 1, latest last. */
export interface History {
  readonly label: string;
  readonly measure: 'utilization' | 'memory';
  readonly values: readonly number[];
  /** The latest value as dstack prints it. */
  readonly latest?: string;
}

// dstack draws 0 to 100 % as seven heights (cli/utils/sparkline.py), with the latest sample in the last cell.
const HEIGHTS = '▁▂▃▄▅▆▇';

/** Reads the charts that `dstack metrics` prints, and replaces their last cell with the exact value. */
export function readHistories(facts: Facts): readonly History[] {
  const rows = factsListOf(facts, 'rows');
  const drawn = readDrawings(textOf(facts, 'output') ?? '');
  const hasOneJob = new Set(rows.map((row) => textOf(row, 'job'))).size === 1;
  return rows.flatMap((row, index) => {
    const label = [hasOneJob ? undefined : textOf(row, 'job'), textOf(row, 'part')]
      .filter((part) => part !== undefined)
      .join(' ');
    const drawing = drawn[index];
    return (['utilization', 'memory'] as const).map((measure) => {
      const latest = textOf(row, measure);
      const share = latest === undefined ? undefined : readShare(latest);
      const past = drawing?.[measure] ?? [];
      // The last cell is the same sample, rounded to seven steps.
      const values = share === undefined ? past : [...past.slice(0, -1), share];
      return { label: label === '' ? 'job' : label, measure, values, ...optional('latest', latest) };
    });
  });
}

interface Drawing {
  readonly utilization: readonly number[];
  readonly memory: readonly number[];
}

function readDrawings(output: string): readonly Drawing[] {
  const all = output.split('\n');
  const header = all.findIndex((line) => /^ +UTILIZATION +MEMORY *$/.test(line));
  if (header === -1) return [];
  const memoryAt = (all[header] ?? '').indexOf('MEMORY');
  return all
    .slice(header + 1)
    .filter((line) => /(?:^|\s)(?:cpu|gpu=\d+)\s/.test(line))
    .map((line) => ({ utilization: readCells(line.slice(0, memoryAt)), memory: readCells(line.slice(memoryAt)) }));
}

const readCells = (text: string): readonly number[] =>
  Array.from(text)
    .map((cell) => HEIGHTS.indexOf(cell))
    .filter((height) => height !== -1)
    .map((height) => height / (HEIGHTS.length - 1));

const IN_MB: Readonly<Record<string, number>> = { KB: 1 / 1024, MB: 1, GB: 1024, TB: 1024 * 1024 };

/** Reads a share from `42%` or `256MB/48GB`. */
export function readShare(text: string): number | undefined {
  const percent = /^([\d.]+)%$/.exec(text)?.[1];
  if (percent !== undefined) return Math.min(1, Number(percent) / 100);
  const [, used, usedUnit = '', whole, unit = ''] = /^([\d.]+)(KB|MB|GB|TB)\/([\d.]+)(KB|MB|GB|TB)$/.exec(text) ?? [];
  const size = Number(whole) * (IN_MB[unit] ?? Number.NaN);
  return size > 0 ? Math.min(1, (Number(used) * (IN_MB[usedUnit] ?? Number.NaN)) / size) : undefined;
}
