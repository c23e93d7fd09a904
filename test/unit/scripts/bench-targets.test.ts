import { expect, test } from 'vitest';
import type { BenchResult } from '../../../scripts/lab/bench/result.ts';
import { compareTargets } from '../../../scripts/lab/bench/targets.ts';

const at = (median: number) => ({ median, p95: median });

test('measured figures are compared with those that have to hold, and what was not measured is left out', () => {
  const result: BenchResult = {
    date: '',
    machine: {},
    rounds: 1,
    single: { ps: { bare: at(1_000), warm: at(50), spare: at(126) } },
    concurrent: [{ atOnce: 8, totalMs: { bare: 8_000, spare: 4_000 } }],
    start: { server: at(130), node: at(40) },
    firstCall: { bare: at(1), first: at(1) },
    idle: { unusedMb: 61, fiveUsedMb: 700, fiveIdleMb: 350 },
    memory: undefined,
    toolsListBytes: 1,
  };
  expect(compareTargets(result).map(({ measured, holds }) => [measured, holds])).toEqual([
    ['0.050', true],
    ['0.126', false],
    ['0.500', true],
    ['130', true],
    ['61', false],
    ['350', true],
  ]);
});
