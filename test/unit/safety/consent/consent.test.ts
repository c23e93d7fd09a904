import { expect, test } from 'vitest';
import { grantConsent, spendConsent } from '../../../../src/safety/consent/consent.ts';

const argv = ['stop', '--yes', 'train'];
const agreement = { operation: 'stop', level: 'token', planDigest: 'x', argv } as const;

test.each([[undefined], [null], [0], ['consent'], [true], [[]], [{}], [{ ...agreement }], [() => true]])(
  '%j is no consent, and asking does no harm',
  (value) => {
    expect(spendConsent(value, argv)).toBe(false);
  },
);

test('a copy of a consent, or what inherits from it, is none', () => {
  const consent = grantConsent(agreement);
  expect(spendConsent(Object.assign({}, consent), argv)).toBe(false);
  expect(spendConsent(Object.create(consent), argv)).toBe(false);
  expect(spendConsent(structuredClone(Object.assign({}, consent)), argv)).toBe(false);
  expect(spendConsent(consent, argv)).toBe(true);
});

test('a consent can not be changed after it was given', () => {
  const words = [...argv];
  const consent = grantConsent({ ...agreement, argv: words });
  words[2] = 'other';
  expect(Object.isFrozen(consent)).toBe(true);
  expect(Object.isFrozen(consent.argv)).toBe(true);
  expect(spendConsent(consent, words)).toBe(false);
  expect(spendConsent(consent, argv)).toBe(true);
});
