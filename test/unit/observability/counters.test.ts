import { expect, test } from 'vitest';
import type { CallRecord } from '../../../src/observability/calls.ts';
import { countCall, describeCounts, noCounts } from '../../../src/observability/counters.ts';
import type { Counts } from '../../../src/observability/counters.ts';

const START = new Date('2026-01-02T03:04:05Z');

const record = (known: Partial<CallRecord>): CallRecord => ({
  id: '1',
  tool: 'ps',
  outcome: 'done',
  isError: false,
  startedAt: 0,
  durationMs: 10,
  stepsMs: { checked: 0, waited: 0, warm: 0, plain: 0, read: 0, answered: 0 },
  commands: [],
  ...known,
});

const count = (records: readonly Partial<CallRecord>[]): Counts =>
  records.map(record).reduce(countCall, noCounts(START));

const command = (ran: 'warm' | 'plain' | undefined) => ({
  command: 'ps',
  ...(ran === undefined ? {} : { ran }),
  exit: 'exited' as const,
  startedAt: 0,
  waitedMs: 0,
  durationMs: 1,
});

const CALLS = [
  { tool: 'plan', durationMs: 2_300.4, commands: [command('warm'), command('plain')] },
  { tool: 'ps', commands: [command('warm')] },
  { tool: 'ps', outcome: 'failed', code: 'timed-out', commands: [command(undefined)] },
  { tool: 'apply', outcome: 'refused', code: 'price-cap' },
  { tool: 'ps' },
  { tool: 'apply', outcome: 'refused', code: 'price-cap' },
  { tool: 'stop', outcome: 'refused', code: 'policy', durationMs: 2_300 },
  { tool: 'stop', outcome: 'refused' },
] as const;

test('calls are counted by tool and outcome, refusals by code, and commands by how they ran', () => {
  expect(count(CALLS)).toEqual({
    since: '2026-01-02T03:04:05.000Z',
    calls: { plan: { done: 1 }, ps: { done: 2, failed: 1 }, apply: { refused: 2 }, stop: { refused: 2 } },
    refusals: { 'price-cap': 2, policy: 1, other: 1 },
    commands: { warm: 2, plain: 1 },
    longest: { tool: 'plan', durationMs: 2_300 },
  });
});

test('the totals fit on one line, most frequent first', () => {
  expect(describeCounts(count(CALLS))).toBe(
    '8 since 2026-01-02T03:04:05.000Z: ps 3 (failed 1), apply 2 (refused 2), stop 2 (refused 2), plan 1; ' +
      'refused: price-cap 2, policy 1, other 1; dstack ran 2 commands warm and 1 as processes; ' +
      'the longest call took 2300 ms (plan)',
  );
});

test('before the first call, the totals only say since when', () => {
  expect(describeCounts(count([]))).toBe('none since 2026-01-02T03:04:05.000Z');
});

test('the totals omit refusals if there are none', () => {
  expect(describeCounts(count([{}]))).not.toContain('refused');
});
