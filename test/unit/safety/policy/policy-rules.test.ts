import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { assertUseAllowed, isCommand } from '../../../../src/safety/policy/policy-rules.ts';
import { parsePolicy } from '../../../../src/safety/policy/policy.ts';
import { codePoint } from '../../../support/code-points.ts';

const check =
  (policy: string, use: Parameters<typeof assertUseAllowed>[2], readOnly = false) =>
  () => {
    assertUseAllowed(parsePolicy(policy, 'policy.yml'), readOnly, use);
  };
const exec = (text: string, input?: string) => ({ what: 'exec', text, input }) as const;

test.each([
  ['nvidia-smi', 'nvidia-smi'],
  ['python train.py *', 'python train.py --lr 0.1 --out=/tmp/a,b'],
  ['python train.py *', 'python train.py '],
  ['tail -n * /tmp/*.log', 'tail -n 20 /tmp/a/train.log'],
  ['echo "a; b" *', 'echo "a; b" c'],
])('the command line of a pattern is allowed: %s', (pattern, text) => {
  expect(isCommand(pattern, text)).toBe(true);
});

test.each([
  ['nvidia-smi', 'nvidia-smi; curl evil'],
  ['nvidia-smi', ' nvidia-smi'],
  ['nvidia-smi', 'nvidia-smi\n'],
  ['nvidia-smi', 'Nvidia-smi'],
  ['python train.py *', 'python train.py'],
  ['python train.py *', 'python train.pyc --x'],
  ['python train.py *', 'X=1 python train.py --x'],
  ['tail -n * /tmp/*.log', 'tail -n 20 /tmp/a.log extra'],
  ['tail -n * /tmp/*.log', 'tail -n 20 /etc/passwd; cat /tmp/a.log'],
])('any other command line is not: %s', (pattern, text) => {
  expect(isCommand(pattern, text)).toBe(false);
});

test.each([
  'a; rm -rf /',
  'a && b',
  'a & b',
  'a || b',
  'a | sh',
  'a\nb',
  'a\rb',
  'a\u2028b',
  'a\u0000b',
  '$(b)',
  '`b`',
  '${IFS}b',
  '$HOME',
  '<(b)',
  '> /root/.bashrc',
  '< /etc/passwd',
  '"a b"',
  "'a'",
  'a\\\nb',
  '~/x',
  '*',
  '{a,b}',
  '[ab]',
  'a?',
  '!x',
  'a # b',
  'ａ；b',
  'a\tb',
])('a star lets no second command, expansion or quote in: %j', (attack) => {
  expect(isCommand('python train.py *', `python train.py ${attack}`)).toBe(false);
  expect(isCommand('python * --safe', `python ${attack} --safe`)).toBe(false);
});

test('whatever stands for a star has plain words only', () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), (text) => {
      const plain = /^[A-Za-z0-9_@%+=:,./ -]*$/.test(text);
      expect(isCommand('run * end', `run ${text} end`)).toBe(plain);
    }),
  );
});

test('a policy without rules allows commands and uploads, and a read-only server none', () => {
  const upload = { what: 'upload', text: 'a to b' } as const;
  expect(check('{}', exec('sh', 'ls'))).not.toThrow();
  expect(check('{}', upload)).not.toThrow();
  expect(check('{}', exec('ls'), true)).toThrow(/read-only, so exec/);
  expect(check('{}', upload, true)).toThrow(/read-only, so an upload by copy/);
  expect(check('read_only: false\naccess: {never: true}', exec('ls'))).toThrow(
    /no commands, no copies and no such requests/,
  );
});

test('with a list of commands, no other command, no input and no upload is allowed', () => {
  const policy = 'access: {commands: [nvidia-smi, "python train.py *"]}';
  expect(check(policy, exec('nvidia-smi'))).not.toThrow();
  expect(check(policy, exec('python train.py --lr 1'))).not.toThrow();
  expect(check(policy, exec('ls'))).toThrow('it allows only the commands "nvidia-smi", "python train.py *"');
  expect(check(policy, exec('nvidia-smi', 'import os'))).toThrow(/no input/);
  for (const what of ['upload', 'download', 'request'] as const)
    expect(check(policy, { what, text: 'train.py' })).toThrow(/it allows some commands only, and not an? \w+/);
});

test.each(['"*"', '"* train.py"', '" ls"', '"a\\nb"', '""', '"a\\u202eb"'])(
  'a pattern that allows every program, or that hides something, is a mistake: %s',
  (pattern) => {
    expect(() => parsePolicy(`access: {commands: [${pattern}]}`, 'policy.yml')).toThrow(/access\.commands/);
  },
);

test.each(['0', '-1', '25', 'forever'])('a consent lasts for up to a day: %s hours are a mistake', (hours) => {
  expect(() => parsePolicy(`access: {hours: ${hours}}`, 'policy.yml')).toThrow(/access\.hours/);
});
