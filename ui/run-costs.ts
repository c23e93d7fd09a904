import { optional } from './read.ts';
import { runOf } from './run-facts.ts';
import type { RunDetails, RunRow } from './run-facts.ts';
import type { Card } from './view.ts';

/** Runs of a list whose cost is looked up: more are nobody's next step, and each is a call. */
const MOST = 30;

/** What dstack's table of runs doesn't tell: cost so far, and the instant of the submission, looked up one run at a time. */
export interface RunCosts {
  /** Looks up the run that has waited longest; whether it was a run of which nothing was known. */
  readonly lookUpOne: (rows: readonly RunRow[]) => Promise<boolean>;
  /** A row with what is known of it by now. */
  readonly complete: (row: RunRow) => RunRow;
}

/** Makes the look-up; a run that is over is looked up once. */
export function createRunCosts({ host }: Card, of: { readonly project?: string }): RunCosts {
  const known = new Map<string, { readonly run: RunDetails; readonly lookedAt: number }>();
  const needs = (row: RunRow): boolean => {
    if (row.costUsd !== undefined && row.submittedAt !== undefined) return false;
    const run = known.get(row.name)?.run;
    return run === undefined || !row.isFinished || !run.isFinished;
  };
  return {
    async lookUpOne(rows) {
      const waiting = rows.slice(0, MOST).filter(needs);
      const age = ({ name }: RunRow): number => known.get(name)?.lookedAt ?? 0;
      const next = waiting.sort((a, b) => age(a) - age(b))[0];
      if (next === undefined) return false;
      const run = runOf((await host.callTool('get', { name: next.name, ...of })).facts);
      if (run === undefined) return false;
      const isNews = !known.has(next.name);
      known.set(next.name, { run, lookedAt: performance.now() });
      return isNews;
    },
    complete(row) {
      const run = known.get(row.name)?.run;
      if (run === undefined) return row;
      return { ...optional('costUsd', run.costUsd), ...optional('submittedAt', run.submittedAt), ...row };
    },
  };
}
