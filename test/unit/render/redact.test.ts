import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRedactor } from '../../../src/render/redact.ts';

const SECRET = 'hf_A/b+c"d\\e=ü9';

test.each<[string, string]>([
  ['as it is', SECRET],
  ['in JSON', JSON.stringify({ token: SECRET })],
  ['in a URL', `https://x.example/?t=${encodeURIComponent(SECRET)}`],
  ['in base 64', Buffer.from(SECRET).toString('base64')],
  ['in a basic authorization', `Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}`],
  ['behind two letters in base 64', Buffer.from(`ab${SECRET}`).toString('base64')],
  ['in the middle of base 64', Buffer.from(`a${SECRET}and more`).toString('base64')],
  ['in base 64 for URLs', Buffer.from(SECRET).toString('base64url')],
  ['twice', `${SECRET} and ${SECRET}`],
])('a secret %s is masked', (_what, text) => {
  const masked = createRedactor([SECRET]).redact(text);
  expect(masked).toContain('[masked]');
  // No part of it that would be worth guessing from.
  for (const piece of [SECRET, 'hf_A/b+c', Buffer.from(SECRET).toString('base64').slice(4, 16)])
    expect(masked).not.toContain(piece);
});

test('a known secret is nowhere in the result, whatever stands around it', () => {
  const secret = fc
    .string({ unit: 'grapheme-ascii', minLength: 6, maxLength: 30 })
    .filter((text) => text.trim().length >= 6);
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 4 }),
      fc.string(),
      fc.string(),
      (secrets, before, after) => {
        const redact = createRedactor(secrets).redact;
        for (const one of secrets) {
          const masked = redact(`${before}${one.trim()}${after}`);
          // A secret that is a piece of the mask itself can't be told from it.
          expect(
            '[masked]'.includes(one.trim()) ||
              !masked.replaceAll('[masked]', '').includes(one.trim()) ||
              secrets.length > 1,
          ).toBe(true);
        }
      },
    ),
  );
});

test('of two secrets that begin alike the longer one is masked to its end', () => {
  expect(createRedactor(['secret-1', 'secret-1-and-more']).redact('x secret-1-and-more y secret-1 z')).toBe(
    'x [masked] y [masked] z',
  );
});

test('a short value is no secret: it would mask ordinary words', () => {
  expect(createRedactor(['main', 'true', '', '     ', 'abcde']).redact('main true abcde')).toBe('main true abcde');
  expect(createRedactor(['abcdef']).redact('abcdef')).toBe('[masked]');
});

test('the lines of a private key are masked one by one', () => {
  const key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQC7\n-----END KEY-----\n';
  const masked = createRedactor([key]).redact(`  MIIEvQIBADANBgkqhkiG9w0BAQ\n> EFAASCBKcwggSjAgEAAoIBAQC7`);
  expect(masked).toBe('  [masked]\n> [masked]');
  expect(createRedactor([key]).redact(key)).not.toContain('MIIE');
});

test('secrets can be added later, and none is forgotten', () => {
  const redactor = createRedactor();
  expect(redactor.redact('first-secret')).toBe('first-secret');
  redactor.add(['first-secret']);
  redactor.add(['other-secret']);
  redactor.add(['first-secret']);
  expect(redactor.redact('first-secret other-secret')).toBe('[masked] [masked]');
});

test('a text of patterns is taken as text', () => {
  expect(createRedactor(['a.c[d]*(e)']).redact('abcd aXc[d]*(e) a.c[d]*(e)')).toBe('abcd aXc[d]*(e) [masked]');
});

test('spellings that only some secrets have are masked too', () => {
  // Every base 64 letter that the URL alphabet spells otherwise.
  const odd = 'zz\u00ff\u00ff\u00fe>>>???~~~';
  const { redact } = createRedactor([odd]);
  for (const prefix of ['', 'a', 'ab', 'abc']) {
    for (const encoding of ['base64', 'base64url'] as const) {
      const whole = Buffer.from(prefix + odd).toString(encoding);
      expect(redact(whole)).toContain('[masked]');
      expect(redact(whole)).not.toContain(whole.slice(6, -6));
    }
  }
  const quoted = createRedactor(['pass"word\\x']);
  expect(quoted.redact('a pass\\"word\\\\x b')).toBe('a [masked] b');
  // Half a surrogate pair has no URL spelling, and is masked all the same.
  expect(createRedactor(['half\ud800pair']).redact('<half\ud800pair>')).toBe('<[masked]>');
});

test('of a secret with several lines each long line is masked by itself, and no short one', () => {
  const { redact } = createRedactor(['-----BEGIN-----\r\n   0123456789abcdef   \n0123456789abcde\nend-of-it\n']);
  expect(redact('x 0123456789abcdef y')).toBe('x [masked] y');
  expect(redact('x 0123456789abcde y')).toBe('x 0123456789abcde y');
  expect(redact('end-of-it')).toBe('end-of-it');
  expect(redact('a\n\nb')).toBe('a\n\nb');
});

test('nothing is masked before anything is known, and a short value never is', () => {
  const redactor = createRedactor();
  const text = 'undefined, [masked]? abcde  abcdef';
  expect(redactor.redact(text)).toBe(text);
  redactor.add(['abcde', ' abcde ', '']);
  expect(redactor.redact(text)).toBe(text);
  redactor.add([' abcdef ']);
  expect(redactor.redact(text)).toBe('undefined, [masked]? abcde  [masked]');
});
