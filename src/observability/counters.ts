import { countRan } from './calls.ts';
import type { CallRecord } from './calls.ts';
import type { Outcome } from '../core/report.ts';

/** Totals of this process's calls. */
export interface Counts {
  readonly since: string;
  /** By tool and outcome. */
  readonly calls: Readonly<Record<string, Readonly<Partial<Record<Outcome, number>>>>>;
  /** By error code. */
  readonly refusals: Readonly<Record<string, number>>;
  /** The dstack commands of these calls. */
  readonly commands: { readonly warm: number; readonly plain: number };
  readonly longest?: { readonly tool: string; readonly durationMs: number };
}

/** Returns empty totals. */
export function noCounts(since: Date): Counts {
  return { since: since.toISOString(), calls: {}, refusals: {}, commands: { warm: 0, plain: 0 } };
}

/** Adds one call to the totals. */
export function countCall(counts: Counts, record: CallRecord): Counts {
  const { tool, outcome, code = 'other', commands, durationMs } = record;
  const ofTool = counts.calls[tool] ?? {};
  const ran = countRan(commands);
  const longest = { tool, durationMs: Math.round(durationMs) };
  return {
    since: counts.since,
    calls: { ...counts.calls, [tool]: { ...ofTool, [outcome]: (ofTool[outcome] ?? 0) + 1 } },
    refusals:
      outcome === 'refused' ? { ...counts.refusals, [code]: (counts.refusals[code] ?? 0) + 1 } : counts.refusals,
    commands: { warm: counts.commands.warm + ran.warm, plain: counts.commands.plain + ran.plain },
    longest: counts.longest !== undefined && counts.longest.durationMs >= durationMs ? counts.longest : longest,
  };
}

/** Formats the totals in a line or two for a person, most frequent first. */
export function describeCounts({ since, calls, refusals, commands, longest }: Counts): string {
  if (longest === undefined) return `none since ${since}`;
  const byTool = Object.entries(calls).map(([tool, byOutcome]) => ({ tool, byOutcome, total: sum(byOutcome) }));
  const tools = byTool
    .toSorted((a, b) => b.total - a.total)
    .map(({ tool, byOutcome: { done: _done, ...rest }, total }) => `${tool} ${total}${inBrackets(rest)}`);
  return [
    `${sum(Object.fromEntries(byTool.map(({ tool, total }) => [tool, total])))} since ${since}: ${tools.join(', ')}`,
    ...(Object.keys(refusals).length === 0 ? [] : [`refused: ${list(refusals)}`]),
    `dstack ran ${commands.warm} commands warm and ${commands.plain} as processes`,
    `the longest call took ${longest.durationMs} ms (${longest.tool})`,
  ].join('; ');
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const inBrackets = (counts: Readonly<Record<string, number>>): string =>
  Object.keys(counts).length === 0 ? '' : ` (${list(counts)})`;
