import * as fc from 'fast-check';
import { CHANGES, FAULTS } from './fault-matrix.ts';
import { describeCase, runFaultCase } from './run-fault-case.ts';
import type { CaseResult, FaultCase } from './run-fault-case.ts';
import { summarizeCases } from './summarize-cases.ts';

const cases: fc.Arbitrary<FaultCase> = fc.record({
  change: fc.constantFrom(...CHANGES),
  fault: fc.constantFrom(...FAULTS.flatMap((fault) => Array.from({ length: fault.weight ?? 2 }, () => fault))),
  // A plain process costs ten times as much.
  warm: fc.integer({ min: 0, max: 7 }).map((one) => one > 0),
  era: fc.constantFrom('2025-11-25', '2026-07-28'),
});

/** The first seed: that of `DSTACK_TEST_FAULT_SEED`, or a new one. */
export const FIRST_SEED = Number(process.env['DSTACK_TEST_FAULT_SEED'] ?? Math.floor(Math.random() * 1e9));
/** Whether a person asked for this run, and so wants to see each case. */
const isAsked = process.env['DSTACK_TEST_FAULT_SEED'] !== undefined;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Tried {
  readonly seed: number;
  readonly one: FaultCase;
  /** Undefined if the fault wasn't met. */
  readonly result: CaseResult | undefined;
}

/** The violations with their seeds, and the number of cases that never met their fault. */
export interface RandomRun {
  readonly wrong: readonly string[];
  readonly unmet: number;
}

/** Draws cases from the matrix, each from its own seed, runs some of them at once, and prints the figures. */
export async function runRandomCases({ count, atOnce }: { count: number; atOnce: number }): Promise<RandomRun> {
  const seeds = Array.from({ length: count }, (_, index) => FIRST_SEED + index);
  const tried: Tried[] = [];
  const lane = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) tried.push(await tryCase(seed));
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  say(summarizeCases(tried.flatMap(({ result }) => result ?? [])));
  return {
    wrong: tried.flatMap(({ seed, one, result }) =>
      (result?.violations ?? []).map((violation) => `seed ${seed} (${describeCase(one)}): ${violation}`),
    ),
    unmet: tried.filter(({ result }) => result === undefined).length,
  };
}

async function tryCase(seed: number): Promise<Tried> {
  const [one] = fc.sample(cases, { seed, numRuns: 1 });
  if (one === undefined) throw new Error('fast-check made no case');
  // On a busy server, the plan may change before the fault is met.
  const result = (await runFaultCase(one)) ?? (await runFaultCase(one));
  if (isAsked) say(describeResult(seed, one, result));
  return { seed, one, result };
}

const describeResult = (seed: number, one: FaultCase, result: CaseResult | undefined): string =>
  [
    `seed ${seed} (${describeCase(one)}): ${result?.outcome ?? 'no answer'}`,
    `made ${result?.made ?? 'unknown'}`,
    `exit ${result?.exit.ms ?? 0} ms`,
    ...(result?.violations ?? ['the fault was not met']),
  ].join(', ');
