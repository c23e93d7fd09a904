import { expect, test } from 'vitest';
import { FIRST_SEED, runRandomCases } from '../../support/faults/random-cases.ts';

// A sample of the nightly run, small enough not to starve the tests next to it.
test(
  `whatever breaks, a change is made once or not at all, and the reported outcome is true (seed ${FIRST_SEED})`,
  { timeout: 600_000 },
  async () => {
    const { wrong } = await runRandomCases({ count: 4, atOnce: 2 });
    expect(wrong).toEqual([]);
  },
);
