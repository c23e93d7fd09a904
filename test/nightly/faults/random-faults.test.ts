import { expect, test } from 'vitest';
import { FIRST_SEED, runRandomCases } from '../../support/faults/random-cases.ts';

/** The cases; `DSTACK_TEST_FAULT_CASES` runs another number of them, from the seed `DSTACK_TEST_FAULT_SEED`. */
const COUNT = Number(process.env['DSTACK_TEST_FAULT_CASES'] ?? 200);
const TIMEOUT_MS = Math.max(240_000, COUNT * 20_000);

test(
  `whatever breaks, a change is made once or not at all, and the reported outcome is true (seed ${FIRST_SEED})`,
  { timeout: TIMEOUT_MS },
  async () => {
    const { wrong, unmet } = await runRandomCases({ count: COUNT, atOnce: 6 });
    expect(wrong).toEqual([]);
    // A case that never met its fault shows nothing.
    expect(unmet).toBeLessThanOrEqual(COUNT / 10);
  },
);
