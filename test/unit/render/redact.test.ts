import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRedactor } from '../../../src/render/redact.ts';
import type { Redactor } from '../../../src/render/redact.ts';

function redactorOf(secrets: readonly string[]): Redactor {
  const redactor = createRedactor();
  redactor.add(secrets);
  return redactor;
}

const SECRET = 'hf_A/b+c"d\\e=ü9';

test.each<[string, string]>([
  ['in plain text', SECRET],
  ['in JSON', JSON.stringify({ token: SECRET })],
  ['in a URL', `https://x.example/?t=${encodeURIComponent(SECRET)}`],
  ['in Base64', Buffer.from(SECRET).toString('base64')],
  ['in a basic authorization', `Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}`],
  ['after two letters in Base64', Buffer.from(`ab${SECRET}`).toString('base64')],
  ['in the middle of Base64', Buffer.from(`a${SECRET}and more`).toString('base64')],
  ['in Base64 for URLs', Buffer.from(SECRET).toString('base64url')],
  ['twice', `${SECRET} and ${SECRET}`],
])('a secret %s is masked', (_what, text) => {
  const masked = redactorOf([SECRET]).redact(text);
  expect(masked).toContain('[masked]');
  // No part that would help to guess it.
  for (const piece of [SECRET, 'hf_A/b+c', Buffer.from(SECRET).toString('base64').slice(4, 16)])
    expect(masked).not.toContain(piece);
});

test('a known secret is never in the result, regardless of the text around it', () => {
  const secret = fc
    .string({ unit: 'grapheme-ascii', minLength: 6, maxLength: 30 })
    .filter((text) => text.trim().length >= 6);
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 4 }),
      fc.string(),
      fc.string(),
      (secrets, before, after) => {
        const redact = redactorOf(secrets).redact;
        for (const one of secrets) {
          const masked = redact(`${before}${one.trim()}${after}`);
          // A secret that is part of the mask can't be distinguished from it.
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

test('the longer of two secrets with the same beginning is masked completely', () => {
  expect(redactorOf(['secret-1', 'secret-1-and-more']).redact('x secret-1-and-more y secret-1 z')).toBe(
    'x [masked] y [masked] z',
  );
});

test('a short value is not masked: it would mask ordinary words', () => {
  expect(redactorOf(['main', 'true', '', '     ', 'abcde']).redact('main true abcde')).toBe('main true abcde');
  expect(redactorOf(['abcdef']).redact('abcdef')).toBe('[masked]');
});

test('the lines of a private key are masked one by one', () => {
  const key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQC7\n-----END KEY-----\n';
  const masked = redactorOf([key]).redact(`  MIIEvQIBADANBgkqhkiG9w0BAQ\n> EFAASCBKcwggSjAgEAAoIBAQC7`);
  expect(masked).toBe('  [masked]\n> [masked]');
  expect(redactorOf([key]).redact(key)).not.toContain('MIIE');
});

test('secrets can be added later, and earlier ones stay masked', () => {
  const redactor = createRedactor();
  expect(redactor.redact('first-secret')).toBe('first-secret');
  redactor.add(['first-secret']);
  redactor.add(['other-secret']);
  redactor.add(['first-secret']);
  expect(redactor.redact('first-secret other-secret')).toBe('[masked] [masked]');
});

test('pattern characters in a secret match literally', () => {
  expect(redactorOf(['a.c[d]*(e)']).redact('abcd aXc[d]*(e) a.c[d]*(e)')).toBe('abcd aXc[d]*(e) [masked]');
});

test('encodings that only some secrets have are masked too', () => {
  // Every Base64 letter that differs in the URL alphabet.
  const odd = 'zz\u00ff\u00ff\u00fe>>>???~~~';
  const { redact } = redactorOf([odd]);
  for (const prefix of ['', 'a', 'ab', 'abc']) {
    for (const encoding of ['base64', 'base64url'] as const) {
      const whole = Buffer.from(prefix + odd).toString(encoding);
      expect(redact(whole)).toContain('[masked]');
      expect(redact(whole)).not.toContain(whole.slice(6, -6));
    }
  }
  const quoted = redactorOf(['pass"word\\x']);
  expect(quoted.redact('a pass\\"word\\\\x b')).toBe('a [masked] b');
  // Half a surrogate pair has no URL encoding, but is still masked.
  expect(redactorOf(['half\ud800pair']).redact('<half\ud800pair>')).toBe('<[masked]>');
});

test('each long line of a multi-line secret is masked separately, and short lines are not', () => {
  const { redact } = redactorOf(['-----BEGIN-----\r\n   0123456789abcdef   \n0123456789abcde\nend-of-it\n']);
  expect(redact('x 0123456789abcdef y')).toBe('x [masked] y');
  expect(redact('x 0123456789abcde y')).toBe('x 0123456789abcde y');
  expect(redact('end-of-it')).toBe('end-of-it');
  expect(redact('a\n\nb')).toBe('a\n\nb');
});

test('nothing is masked before a secret is added, and short values never are', () => {
  const redactor = createRedactor();
  const text = 'undefined, [masked]? abcde  abcdef';
  expect(redactor.redact(text)).toBe(text);
  redactor.add(['abcde', ' abcde ', '']);
  expect(redactor.redact(text)).toBe(text);
  redactor.add([' abcdef ']);
  expect(redactor.redact(text)).toBe('undefined, [masked]? abcde  [masked]');
});
