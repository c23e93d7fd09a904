import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { createRedactor, maskOutput, maskPlaces, maskText } from '../../../src/render/mask-secrets.ts';
import { readFixture } from '../../support/read-fixture.ts';
import type { Redactor } from '../../../src/render/mask-secrets.ts';

const SECRET = 'hunter2-and-more';

/** A run as dstack prints it, with secrets in every place that has them. */
const run = {
  id: '1',
  run_spec: {
    run_name: 'train',
    configuration: {
      type: 'task',
      env: { HF_TOKEN: SECRET, WORKERS: 8, DEBUG: true, EMPTY: null, LATER: { key: 'LATER' } },
      registry_auth: { username: SECRET, password: SECRET },
      image: 'registry.example.com/train:latest',
      model: { name: 'llama', eos_token: '</s>' },
    },
    ssh_key_pub: SECRET,
    repo_data: { repo_url: `https://me:${SECRET}@example.com/x.git` },
  },
  jobs: [
    {
      job_spec: {
        env: [`HF_TOKEN=${SECRET}`, 'NAMED', `A=b=${SECRET}`],
        ssh_key: { private: SECRET, public: SECRET },
        commands: ['echo env: "x"'],
      },
      job_submissions: [
        {
          job_provisioning_data: { backend_data: JSON.stringify({ access_token: SECRET, zone: 'a' }), price: 0.5 },
          oauth_token: SECRET,
          api_key: SECRET,
          nested: { client_secret: [SECRET, [SECRET]], password: { deep: SECRET } },
        },
      ],
    },
  ],
};

const expectMasked = (text: string): void => {
  expect(text).not.toContain(SECRET);
  for (const kept of [
    'HF_TOKEN',
    'WORKERS',
    'DEBUG',
    'NAMED',
    'registry_auth',
    '</s>',
    'train:latest',
    '0.5',
    'example.com',
  ])
    expect(text).toContain(kept);
};

describe('a structure', () => {
  test('keeps its names and shape, and loses the values in secret places', () => {
    const masked = maskPlaces(run);
    expectMasked(JSON.stringify(masked));
    expect(masked).toMatchObject({
      run_spec: {
        configuration: {
          env: { HF_TOKEN: '[masked]', WORKERS: '[masked]', EMPTY: null },
          registry_auth: { username: '[masked]', password: '[masked]' },
        },
        repo_data: { repo_url: 'https://[masked]@example.com/x.git' },
      },
      jobs: [{ job_spec: { env: ['HF_TOKEN=[masked]', 'NAMED', 'A=[masked]'], commands: ['echo env: "x"'] } }],
    });
  });
});

describe('the JSON that a command prints', () => {
  test.each([0, 2, 4])('loses the same values with an indentation of %i, and is still JSON', (indent) => {
    const text = JSON.stringify(run, null, indent);
    const masked = maskOutput(text);
    expectMasked(masked);
    expect(JSON.parse(masked)).toEqual(maskPlaces(run));
  });

  test('is masked after warnings, in the middle of other text, and if it is cut', () => {
    const text = JSON.stringify(run, null, 2);
    const noise = '[08:15:00] it\'s a "warning" with {env: "x\nA new version is available\n';
    expectMasked(maskOutput(`${noise}${text}\nthe end`));
    expect(maskOutput(`${noise}${text}\nthe end`)).toContain(noise);
    for (let length = 0; length < text.length; length += 7)
      expect(maskOutput(text.slice(0, length))).not.toContain(SECRET);
  });

  test.each(['run-get-running', 'fleet-get', 'ps-running', 'event'])('%s is verbatim but for masked values', (name) => {
    const { stdout } = readFixture(name);
    const lines = maskOutput(stdout).split('\n');
    const changed = stdout.split('\n').filter((line, at) => line !== lines[at]);
    for (const line of changed) expect(line).toMatch(/"(?:ssh_key\w*|[A-Z_]+|private|public|username|password)":|=/);
  });

  test('takes linear time', () => {
    // Quadratic work on such a text would take many seconds.
    for (const piece of [
      '{"a":"',
      '[',
      '{"env":[',
      'a.',
      'a://b:',
      'https://x@',
      '"a" ',
      '-----BEGIN PRIVATE KEY-----',
      '\\"{',
    ]) {
      const startedAt = performance.now();
      maskOutput(`{${piece.repeat(300_000 / piece.length)}`);
      expect(performance.now() - startedAt, piece).toBeLessThan(2_000);
    }
  });
});

test.each([
  ['https://me:pw@host/x', 'https://[masked]@host/x'],
  ['at http://t0ken@host:3000 and', 'at http://[masked]@host:3000 and'],
  ['postgres://u:p@db/x?y', 'postgres://[masked]@db/x?y'],
  ['ssh://git@github.com/a/b.git', 'ssh://git@github.com/a/b.git'],
  ['http://host/path@1', 'http://host/path@1'],
  ['mail me@example.com: x@y', 'mail me@example.com: x@y'],
  ['x\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\nDEF=\n-----END OPENSSH PRIVATE KEY-----\ny', 'x\n[masked]\ny'],
])('in any text, users of URLs and private keys are masked: %j', (text, masked) => {
  expect(maskText(text)).toBe(masked);
});

function redactorOf(secrets: readonly string[]): Redactor {
  const redactor = createRedactor();
  redactor.add(secrets);
  return redactor;
}

const TOKEN = 'hf_A/b+c"d\\e=ü9';

test.each<[string, string]>([
  ['in plain text', TOKEN],
  ['in JSON', JSON.stringify({ token: TOKEN })],
  ['in a URL', `https://x.example/?t=${encodeURIComponent(TOKEN)}`],
  ['in Base64', Buffer.from(TOKEN).toString('base64')],
  ['in a basic authorization', `Basic ${Buffer.from(`me:${TOKEN}`).toString('base64')}`],
  ['after two letters in Base64', Buffer.from(`ab${TOKEN}`).toString('base64')],
  ['in the middle of Base64', Buffer.from(`a${TOKEN}and more`).toString('base64')],
  ['in Base64 for URLs', Buffer.from(TOKEN).toString('base64url')],
  ['twice', `${TOKEN} and ${TOKEN}`],
])('a secret %s is masked', (_what, text) => {
  const masked = redactorOf([TOKEN]).redact(text);
  expect(masked).toContain('[masked]');
  // No part that would help to guess it.
  for (const piece of [TOKEN, 'hf_A/b+c', Buffer.from(TOKEN).toString('base64').slice(4, 16)])
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
