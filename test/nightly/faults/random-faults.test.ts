import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { CHANGES, FAULTS } from '../../support/faults/fault-matrix.ts';
import { describeCase, runFaultCase } from '../../support/faults/run-fault-case.ts';
import type { CaseResult, FaultCase } from '../../support/faults/run-fault-case.ts';
import { summarizeCases } from '../../support/faults/summarize-cases.ts';

/** The cases; `DSTACK_TEST_FAULT_CASES` runs another number of them, from the seed `DSTACK_TEST_FAULT_SEED`. */
const COUNT = Number(process.env['DSTACK_TEST_FAULT_CASES'] ?? 200);
const FIRST_SEED = Number(process.env['DSTACK_TEST_FAULT_SEED'] ?? Math.floor(Math.random() * 1e9));
const AT_ONCE = 6;
/** Whether a person asked for this run, and so wants to see each case. */
const isAsked = process.env['DSTACK_TEST_FAULT_SEED'] !== undefined;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const TIMEOUT_MS = Math.max(240_000, COUNT * 20_000);

const cases: fc.Arbitrary<FaultCase> = fc.record({
  change: fc.constantFrom(...CHANGES),
  fault: fc.constantFrom(...FAULTS.flatMap((fault) => Array.from({ length: fault.weight ?? 2 }, () => fault))),
  // A plain process costs ten times as much.
  warm: fc.integer({ min: 0, max: 7 }).map((one) => one > 0),
  era: fc.constantFrom('2025-11-25', '2026-07-28'),
});

interface Tried {
  readonly seed: number;
  readonly one: FaultCase;
  readonly result: CaseResult | undefined;
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

async function tryAll(): Promise<readonly Tried[]> {
  const seeds = Array.from({ length: COUNT }, (_, index) => FIRST_SEED + index);
  const tried: Tried[] = [];
  const lane = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) tried.push(await tryCase(seed));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return tried;
}

test(
  `whatever breaks, a change is made once or not at all, and the reported outcome is true (seed ${FIRST_SEED})`,
  { timeout: TIMEOUT_MS },
  async () => {
    const tried = await tryAll();
    say(summarizeCases(tried.flatMap(({ result }) => result ?? [])));
    const wrong = tried.flatMap(({ seed, one, result }) =>
      (result?.violations ?? []).map((violation) => `seed ${seed} (${describeCase(one)}): ${violation}`),
    );
    expect(wrong).toEqual([]);
    // A case that never met its fault shows nothing.
    expect(tried.filter(({ result }) => result === undefined).length).toBeLessThanOrEqual(COUNT / 10);
  },
);
