import { describe, expect, test } from 'vitest';
import { maskOutput, maskPlaces, maskText } from '../../../src/render/mask-places.ts';
import { readFixture } from '../../support/read-fixture.ts';

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
