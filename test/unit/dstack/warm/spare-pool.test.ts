import { expect, test } from 'vitest';
import { BURST_MS, sparesToEnd, sparesToKeep, sparesToStart } from '../../../../src/dstack/warm/spare-pool.ts';
import type { SpareCounts } from '../../../../src/dstack/warm/spare-pool.ts';

const counts = (more: Partial<SpareCounts>): SpareCounts => ({
  idle: 0,
  starting: 0,
  waiting: 0,
  sinceBurstMs: Infinity,
  ...more,
});

test('one spare is kept, and two for a while after a command had to wait', () => {
  expect(sparesToKeep({ sinceBurstMs: Infinity })).toBe(1);
  expect(sparesToKeep({ sinceBurstMs: 0 })).toBe(2);
  expect(sparesToKeep({ sinceBurstMs: BURST_MS })).toBe(1);
});

test.each([
  ['nothing runs: the one that is kept', {}, 1],
  ['the one that is kept waits', { idle: 1 }, 0],
  ['the one that is kept is on its way', { starting: 1 }, 0],
  ['after a burst: both', { sinceBurstMs: 10 }, 2],
  ['after a burst one of two waits', { sinceBurstMs: 10, idle: 1 }, 1],
  ['commands wait: as many as may start at a time', { waiting: 7, sinceBurstMs: 0 }, 2],
  ['commands wait, and one starts', { waiting: 7, starting: 1, sinceBurstMs: 0 }, 1],
  ['one command waits, and one starts: none for later', { waiting: 1, starting: 1, sinceBurstMs: 0 }, 0],
  ['more start than wait', { waiting: 1, starting: 2, sinceBurstMs: 0 }, 0],
])('how many are started: %s', (_when, more, expected) => {
  expect(sparesToStart(counts(more), 2)).toBe(expected);
});

test('a spare that is no longer needed is ended, once the burst is over', () => {
  expect(sparesToEnd(counts({ idle: 2, sinceBurstMs: 10 }))).toBe(0);
  expect(sparesToEnd(counts({ idle: 2 }))).toBe(1);
  expect(sparesToEnd(counts({ idle: 0 }))).toBe(0);
});
