import { expect, test } from 'vitest';
import { maskConfiguration } from '../../../src/configuration/mask-configuration.ts';

const TEXT = `# a comment
type: task
name: train
env:
  - HF_TOKEN=hf_0123456789   # kept
  - WANDB_API_KEY
  - MODE=\${{ secrets.mode }}
registry_auth:
  username: somebody
  password: "pass: word"
repos:
  - https://me:t0ken@example.com/x.git
commands:
  - echo $HF_TOKEN
`;

test('literal secrets are masked, with the names, comments and lines kept', () => {
  const { text, places, secrets } = maskConfiguration(TEXT);
  expect(text).toBe(
    TEXT.replace('HF_TOKEN=hf_0123456789', '"HF_TOKEN=[masked]"')
      .replace('MODE=${{ secrets.mode }}', '"MODE=[masked]"')
      .replace('somebody', '"[masked]"')
      .replace('"pass: word"', '"[masked]"')
      .replace('me:t0ken@', '[masked]@'),
  );
  expect(places).toEqual(['env.HF_TOKEN', 'env.MODE', 'registry_auth.username', 'registry_auth.password']);
  expect(secrets).toEqual(['hf_0123456789', 'pass: word']);
});

test('a mapping, a block scalar, an alias and a flow mapping are masked', () => {
  const text =
    'x: &a one-secret\nenv:\n  A: *a\n  KEY: |\n    two\n    lines\n  B: {c: three}\n  N: 7\n  E:\ntype: task\n';
  const masked = maskConfiguration(text).text;
  for (const secret of ['one-secret', 'two', 'lines', 'three', '7']) expect(masked).not.toContain(secret);
  expect(masked.split('\n')).toHaveLength(text.split('\n').length);
  expect(masked).toContain('type: task');
});

test('a reference to a secret of the project stays', () => {
  expect(maskConfiguration('env:\n  HF_TOKEN: ${{ secrets.hf_token }}\n').text).toContain('secrets.hf_token');
});

test('a text that is not YAML or beyond the limits is masked by line', () => {
  for (const text of [
    'type: [task\nenv:\n  - HF_TOKEN=hidden1\npassword: hidden2\n',
    `x: ${'['.repeat(2000)}\nHF_TOKEN: hidden1\n`,
  ]) {
    const masked = maskConfiguration(text).text;
    expect(masked).not.toContain('hidden');
    expect(masked).toContain('HF_TOKEN');
  }
});

test('aliases that expand to billions of nodes are masked in linear time', () => {
  const levels = Array.from({ length: 20 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}]`);
  const masked = maskConfiguration(`a0: &a0 hidden\n${levels.join('\n')}\nenv: *a20\n`);
  expect(masked.text.length).toBeLessThan(5_000);
});
