import { expect, test } from 'vitest';
import { describeCost } from '../../../src/core/cost.ts';
import type { Cost } from '../../../src/core/cost.ts';

test.each<[Cost, string]>([
  [{ pricePerHour: 0.39, mostPerHour: 0.39, mostInTotal: 0.78 }, '$0.39/h, at most $0.78 in total'],
  [
    { pricePerHour: 0.39, mostPerHour: 0.78, mostInTotal: 1.69, hours: 2 + 1 / 6 },
    '$0.39/h (up to $0.78/h), at most $1.69 in 2h 10m',
  ],
  [{ pricePerHour: 0.39, mostPerHour: 0.39, mostInTotal: 'unlimited' }, '$0.39/h, no limit in total'],
  [{ pricePerHour: 0.39, mostPerHour: 0.39, mostInTotal: 'unknown' }, '$0.39/h, unknown in total'],
  [
    { pricePerHour: 0.39, mostPerHour: 'unlimited', mostInTotal: 'unlimited' },
    '$0.39/h (no limit per hour), no limit in total',
  ],
  [
    { pricePerHour: 0.39, mostPerHour: 'unknown', mostInTotal: 'unknown' },
    '$0.39/h (unknown maximum), unknown in total',
  ],
  [{ mostPerHour: 0.78, mostInTotal: 1.56 }, 'up to $0.78/h, at most $1.56 in total'],
  [{ mostPerHour: 'unlimited', mostInTotal: 'unlimited' }, 'no limit per hour, no limit in total'],
  [{ mostPerHour: 'unknown', mostInTotal: 'unknown' }, 'unknown price'],
  [{ mostPerHour: 'unknown', mostInTotal: 'unlimited' }, 'unknown price, no limit in total'],
  [{ pricePerHour: 0, mostPerHour: 0, mostInTotal: 0 }, '$0.00/h, at most $0.00 in total'],
])('the cost %j is described as %s', (cost, words) => {
  expect(describeCost(cost)).toBe(words);
});
