import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  createRandomText,
  createToken,
  findByFingerprint,
  fingerprintToken,
} from '../../../../src/safety/consent/token.ts';
import { pendingChange } from '../../../support/pending-change.ts';

test('a token ends with 140 bits in four groups, without look-alike letters', () => {
  const texts = Array.from({ length: 2_000 }, createRandomText);
  for (const text of texts) expect(text).toMatch(/^[0-9a-hjkmnp-tv-z]{7}(?:-[0-9a-hjkmnp-tv-z]{7}){3}$/);
  expect(new Set(texts).size).toBe(texts.length);
  // Every letter of the alphabet occurs at every position: no bits are lost.
  const letters = Array.from({ length: 31 }, (_, place) => new Set(texts.map((text) => text[place])).size);
  expect(letters.filter((_, place) => place % 8 !== 7)).toEqual(Array.from({ length: 28 }, () => 32));
});

const RANDOM = '[0-9a-z]{7}(?:-[0-9a-z]{7}){3}';

test.each<[string, Parameters<typeof pendingChange>[0]]>([
  ['create-task-train-1.00usd', {}],
  ['create-task-train-0.39usd', { binding: { pricePerHour: 0.39 } }],
  ['create-task-train-1234.50usd', { binding: { pricePerHour: 1234.5 } }],
  ['create-task-train', { binding: { pricePerHour: null } }],
  ['create-fleet-1.00usd', { binding: { resource: { kind: 'fleet' } } }],
  ['stop-run-train', { operation: 'stop', binding: { resource: { kind: 'run', name: 'train' }, pricePerHour: null } }],
  [
    'send-configuration-gpu-0-01usd-x-dstack-yml',
    {
      operation: 'send',
      binding: { resource: { kind: 'configuration', name: '../GPU ü_0.01usd\nx.dstack.yml' }, pricePerHour: null },
    },
  ],
  [
    `delete-volume-${'v'.repeat(30)}`,
    { operation: 'delete', binding: { resource: { kind: 'volume', name: 'v'.repeat(500) }, pricePerHour: null } },
  ],
])('a token says what it does: %s', (prefix, change) => {
  const token = createToken(pendingChange(change));
  expect(token).toMatch(new RegExp(`^${prefix.replaceAll('.', String.raw`\.`)}-${RANDOM}$`));
  expect(token.length).toBeLessThanOrEqual(130);
});

test('the whole token has to match, the words that a person reads included', () => {
  const token = createToken(pendingChange());
  const entries = [{ fingerprint: fingerprintToken(token) }];
  expect(findByFingerprint(entries, fingerprintToken(` ${token}\n`))).toBe(entries[0]);
  for (const text of [
    '',
    token.slice(1),
    token.replace('create-task-train-1.00usd-', ''),
    token.replace('1.00usd', '0.10usd'),
    token.replace('train', 'trai-n'),
    token.toUpperCase(),
    `${token}0`,
    `${token}\u0000`,
    `${token}\u200b`,
    token.replace('-', '_'),
  ])
    expect(findByFingerprint(entries, fingerprintToken(text)), text).toBeUndefined();
});

test('a token with one changed character finds no entry', () => {
  fc.assert(
    fc.property(fc.nat(56), fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz.-'.split('')), (place, letter) => {
      const token = createToken(pendingChange());
      fc.pre(token[place] !== letter);
      const entries = [{ fingerprint: fingerprintToken(token) }];
      const forged = token.slice(0, place) + letter + token.slice(place + 1);
      expect(findByFingerprint(entries, fingerprintToken(forged))).toBeUndefined();
    }),
  );
});
