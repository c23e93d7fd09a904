import { optional } from './read.ts';
import { runOf } from './run-facts.ts';
import type { RunDetails, RunRow } from './run-facts.ts';
import type { Card } from './view.ts';

/** Limits how many runs of a list are fetched, since each takes a call. */
const MAX_RUNS = 30;

/** Fetches what dstack's table of runs lacks, one run at a time: the cost so far and the time of submission. */
export interface RunCosts {
  /** Fetches the run that has waited longest. Returns whether it was fetched for the first time. */
  readonly fetchNext: (rows: readonly RunRow[]) => Promise<boolean>;
  /** Adds the fetched values to a row. */
  readonly complete: (row: RunRow) => RunRow;
}

/** Creates the costs of a list of runs. Fetches finished runs only once. */
export function createRunCosts({ host }: Card, of: { readonly project?: string }): RunCosts {
  const known = new Map<string, { readonly run: RunDetails; readonly fetchedAt: number }>();
  const needs = (row: RunRow): boolean => {
    if (row.costUsd !== undefined && row.submittedAt !== undefined) return false;
    const run = known.get(row.name)?.run;
    return run === undefined || !row.isFinished || !run.isFinished;
  };
  return {
    async fetchNext(rows) {
      const waiting = rows.slice(0, MAX_RUNS).filter(needs);
      const age = ({ name }: RunRow): number => known.get(name)?.fetchedAt ?? 0;
      const next = waiting.sort((a, b) => age(a) - age(b))[0];
      if (next === undefined) return false;
      const run = runOf((await host.callTool('get', { name: next.name, ...of })).facts);
      if (run === undefined) return false;
      const isNew = !known.has(next.name);
      known.set(next.name, { run, fetchedAt: performance.now() });
      return isNew;
    },
    complete(row) {
      const run = known.get(row.name)?.run;
      if (run === undefined) return row;
      return { ...optional('costUsd', run.costUsd), ...optional('submittedAt', run.submittedAt), ...row };
    },
  };
}
