import { expect, test } from 'vitest';
import {
  describeCost,
  formatDollars,
  formatDuration,
  formatPrice,
  joinWords,
  plural,
  readDurationHours,
} from '../../../src/core/values.ts';
import type { Cost } from '../../../src/core/values.ts';

test.each([
  [0, '$0.00'],
  [0.000_01, '< $0.0001'],
  [0.000_05, '$0.0001'],
  [0.000_12, '$0.0001'],
  [0.004, '$0.004'],
  [0.0999, '$0.0999'],
  [0.1, '$0.10'],
  [1, '$1.00'],
  [1.17, '$1.17'],
  [12.345, '$12.345'],
  [-1.5, '$-1.50'],
  [null, 'an unknown price'],
  [Number.NaN, 'an unknown price'],
  [Number.POSITIVE_INFINITY, 'an unknown price'],
])('the amount %s is formatted as %s', (dollars, text) => {
  expect(formatDollars(dollars)).toBe(text);
});

test.each([
  [0.39, '$0.39/h'],
  [0, '$0.00/h'],
  [12.5, '$12.50/h'],
  [0.000_01, '< $0.0001/h'],
  [null, 'an unknown price'],
  [Number.NaN, 'an unknown price'],
])('the hourly price %s is formatted as %s', (dollars, text) => {
  expect(formatPrice(dollars)).toBe(text);
});

test.each([
  [0, '0s'],
  [45_000, '45s'],
  [4_545_000, '1h 15m'],
  [86_400_000 * 2 + 3_600_000 * 3, '2d 3h'],
])('a duration of %s ms is formatted as %s', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});

test.each([
  ['2h', 2],
  ['90m', 1.5],
  ['1d', 24],
  ['1w', 168],
  ['1800s', 0.5],
  ['off', undefined],
  ['', undefined],
  ['2 h', undefined],
  [undefined, undefined],
])("dstack's duration %s is read as %s hours", (text, hours) => {
  expect(readDurationHours(text)).toBe(hours);
});

test.each([
  [0, '0 runs'],
  [1, '1 run'],
  [2, '2 runs'],
])('a count of %s has its noun: %s', (count, text) => {
  expect(plural(count, 'run')).toBe(text);
});

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

test.each([
  [['ls', '-ld', '/home/me/.ssh/config'], 'ls -ld /home/me/.ssh/config'],
  [['ls', 'a b'], "ls 'a b'"],
  [['ls', "it's; rm -rf ~"], String.raw`ls 'it'\''s; rm -rf ~'`],
  [['ls', '$(x)', '`x`', 'a\nb', ''], "ls '$(x)' '`x`' 'a\nb' ''"],
])('%j is quoted for a shell', (words, command) => {
  expect(joinWords(words)).toBe(command);
});
