import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkCaps } from '../../../../src/safety/policy/price-caps.ts';
import type { CappedCost, Caps } from '../../../../src/safety/policy/price-caps.ts';

const cost = (more: Partial<CappedCost> = {}): CappedCost => ({ hourly: 1, total: 10, activeHourly: 5, ...more });

test.each<[string, Partial<CappedCost>, Caps, RegExp | undefined]>([
  ['no cap and no price', { hourly: 'unknown', total: 'unknown', activeHourly: undefined }, {}, undefined],
  ['at the hourly cap', {}, { maxPrice: 1 }, undefined],
  ['above the hourly cap', { hourly: 1.01 }, { maxPrice: 1 }, /\$1\.01\/h; the cap for one run is \$1\.00\/h\./],
  ['a cap of zero', { hourly: 0.0001 }, { maxPrice: 0 }, /cap/],
  ['free with a cap of zero', { hourly: 0 }, { maxPrice: 0 }, undefined],
  ['no price and a cap', { hourly: 'unknown' }, { maxPrice: 1 }, /can't be read/],
  ['a price that is not a number', { hourly: Number.NaN }, { maxPrice: 1 }, /can't be read/],
  ['an infinite price', { hourly: Number.POSITIVE_INFINITY }, { maxPrice: 1 }, /can't be read/],
  ['a negative price', { hourly: -1 }, { maxPrice: 1 }, /can't be read/],
  ['at the total', {}, { maxTotal: 10 }, undefined],
  ['above the total', { total: 10.01 }, { maxTotal: 10 }, /up to \$10\.01 in total; the cap for one run is \$10\.00/],
  ['no limit in total', { total: 'unlimited' }, { maxTotal: 10 }, /has no limit/],
  ['no limit per hour', { hourly: 'unlimited' }, { maxPrice: 1 }, /has no upper limit/],
  ['no limit in total and no total cap', { total: 'unlimited' }, { maxPrice: 1 }, undefined],
  ['a fleet has no total', { total: 'not-a-run' }, { maxTotal: 1 }, undefined],
  ['a total that cannot be read', { total: 'unknown' }, { maxTotal: 10 }, /total price can't be read/],
  ['at the active cap', {}, { maxActive: 6 }, undefined],
  [
    'above the active cap',
    {},
    { maxActive: 5.99 },
    /Active resources cost \$5\.00\/h; another \$1\.00\/h would exceed the cap of \$5\.99\/h/,
  ],
  [
    'an active price that cannot be read',
    { activeHourly: undefined },
    { maxActive: 100 },
    /price of active resources can't be read/,
  ],
  ['no price and only an active cap', { hourly: 'unknown' }, { maxActive: 100 }, /can't be read/],
  ['no price and only a total cap', { hourly: 'unknown' }, { maxTotal: 100 }, /can't be read/],
])('%s', (_what, more, caps, words) => {
  const refusal = checkCaps(cost(more), caps);
  expect(refusal?.message ?? '').toMatch(words ?? /^$/);
  expect(refusal?.code).toBe(words && 'price-cap');
});

test('every accepted cost is within every cap', () => {
  const limit = fc.oneof(fc.double(), fc.constantFrom('unlimited' as const, 'unknown' as const));
  const amount = fc.oneof(fc.double(), fc.constant(undefined));
  const cap = fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.constant(undefined));
  fc.assert(
    fc.property(
      limit,
      limit,
      amount,
      fc.record({ maxPrice: cap, maxTotal: cap, maxActive: cap }),
      (hourly, total, activeHourly, caps) => {
        const within = (value: unknown, limit: number | undefined): boolean =>
          limit === undefined || (typeof value === 'number' && value >= 0 && value <= limit);
        const fits =
          within(hourly, caps.maxPrice) &&
          within(total, caps.maxTotal) &&
          within((activeHourly ?? Number.NaN) + Number(hourly), caps.maxActive);
        const admitted = checkCaps({ hourly, total, activeHourly }, caps) === undefined;
        expect(admitted && !fits).toBe(false);
      },
    ),
  );
});

test.each<[Partial<CappedCost>, Caps, string]>([
  [{ hourly: 2 }, { maxPrice: 1 }, 'Choose smaller or fewer resources, then plan again.'],
  [
    { total: 'unlimited' },
    { maxTotal: 1 },
    'Set max_duration, limit idle_duration and stop_duration, fix the number of replicas, and set neither schedule nor retry, then plan again.',
  ],
  [{ total: 11 }, { maxTotal: 1 }, 'Set a shorter max_duration or choose smaller resources, then plan again.'],
  [{}, { maxActive: 1 }, 'Ask the user what to stop first, then plan again.'],
  [
    { total: 'unknown' },
    { maxTotal: 1 },
    expect.stringContaining('Choose resources for which dstack shows a price, then plan again.'),
  ],
])('%j with %j is refused with the next step', (more, caps, hint) => {
  expect(checkCaps(cost(more), caps)?.hint).toEqual(hint);
});

test('the refusal names the price that cannot be read', () => {
  const message = (more: Partial<CappedCost>, caps: Caps): string | undefined => checkCaps(cost(more), caps)?.message;
  const end = "can't be read from dstack's output, and a cap is set. Nothing was submitted.";
  expect(message({ hourly: 'unknown' }, { maxActive: 1 })).toBe(`The hourly price ${end}`);
  expect(message({ total: 'unknown' }, { maxTotal: 1 })).toBe(`The total price ${end}`);
  expect(message({ activeHourly: undefined }, { maxActive: 1 })).toBe(`The price of active resources ${end}`);
});
