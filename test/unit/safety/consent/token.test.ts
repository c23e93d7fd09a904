import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createToken, findByFingerprint, fingerprintToken } from '../../../../src/safety/consent/token.ts';

test('a token has 140 bits in four groups, without look-alike letters', () => {
  const tokens = Array.from({ length: 2_000 }, createToken);
  for (const token of tokens) expect(token).toMatch(/^[0-9a-hjkmnp-tv-z]{7}(?:-[0-9a-hjkmnp-tv-z]{7}){3}$/);
  expect(new Set(tokens).size).toBe(tokens.length);
  // Every letter of the alphabet occurs at every position: no bits are lost.
  const letters = Array.from({ length: 31 }, (_, place) => new Set(tokens.map((token) => token[place])).size);
  expect(letters.filter((_, place) => place % 8 !== 7)).toEqual(Array.from({ length: 28 }, () => 32));
});

test('a token with one changed letter finds no entry', () => {
  fc.assert(
    fc.property(fc.nat(30), fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz'.split('')), (place, letter) => {
      const token = createToken();
      fc.pre(token[place] !== '-' && token[place] !== letter);
      const entries = [{ fingerprint: fingerprintToken(token) }];
      const forged = token.slice(0, place) + letter + token.slice(place + 1);
      expect(findByFingerprint(entries, fingerprintToken(forged))).toBeUndefined();
      expect(findByFingerprint(entries, fingerprintToken(token))).toBe(entries[0]);
    }),
  );
});

test('a shorter, longer or different text does not find the token', () => {
  const token = createToken();
  const entries = [{ fingerprint: fingerprintToken(token) }];
  for (const text of [
    '',
    token.slice(1),
    `${token}0`,
    `${token}\u0000`,
    `${token}\u200b`,
    token.replace('-', '_'),
    token.split('').reverse().join(''),
  ]) {
    expect(findByFingerprint(entries, fingerprintToken(text))).toBeUndefined();
  }
});

test('a token that was read aloud or retyped is still the token', () => {
  const token = '0123456-789abcd-efghjkm-npqrstv';
  for (const spelled of [
    token.toUpperCase(),
    `  ${token}\n`,
    token.replaceAll('-', ''),
    token.replaceAll('-', ' '),
    token.replaceAll('0', 'O').replaceAll('1', 'l'),
    token.replaceAll('0', 'o').replaceAll('1', 'I'),
  ])
    expect(fingerprintToken(spelled)).toEqual(fingerprintToken(token));
  expect(fingerprintToken('0')).not.toEqual(fingerprintToken(''));
});
