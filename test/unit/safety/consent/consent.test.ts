import { expect, test } from 'vitest';
import { grantConsent, spendConsent } from '../../../../src/safety/consent/consent.ts';

const argv = ['stop', '--yes', 'train'];
const approved = { level: 'token', argv } as const;

test.each([[undefined], [null], [0], ['consent'], [true], [[]], [{}], [{ ...approved }], [() => true]])(
  '%j is not a consent, and checking it is safe',
  (value) => {
    expect(spendConsent(value, argv)).toBe(false);
  },
);

test('a copy of a consent, or an object that inherits from it, is not a consent', () => {
  const consent = grantConsent(approved);
  expect(spendConsent(Object.assign({}, consent), argv)).toBe(false);
  expect(spendConsent(Object.create(consent), argv)).toBe(false);
  expect(spendConsent(structuredClone(Object.assign({}, consent)), argv)).toBe(false);
  expect(spendConsent(consent, argv)).toBe(true);
});

test('a consent cannot be changed after it was granted', () => {
  const words = [...argv];
  const consent = grantConsent({ ...approved, argv: words });
  words[2] = 'other';
  expect(Object.isFrozen(consent)).toBe(true);
  expect(Object.isFrozen(consent.argv)).toBe(true);
  expect(spendConsent(consent, words)).toBe(false);
  expect(spendConsent(consent, argv)).toBe(true);
});
