import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { assertUseAllowed, checkCaps, isCommand } from '../../../../src/safety/policy/policy-rules.ts';
import type { CappedCost, Caps } from '../../../../src/safety/policy/policy-rules.ts';
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

const cost = (more: Partial<CappedCost> = {}): CappedCost => ({ hourly: 1, total: 10, activeHourly: 5, ...more });

test.each<[string, Partial<CappedCost>, Caps, RegExp | undefined]>([
  ['no cap and no price', { hourly: 'unknown', total: 'unknown', activeHourly: undefined }, {}, undefined],
  ['at the hourly cap', {}, { maxPrice: 1 }, undefined],
  ['above the hourly cap', { hourly: 1.01 }, { maxPrice: 1 }, /\$1\.01\/h; the cap for one run is \$1\.00\/h\./],
  ['a cap of zero', { hourly: 0.0001 }, { maxPrice: 0 }, /cap/],
  ['free with a cap of zero', { hourly: 0 }, { maxPrice: 0 }, undefined],
  ['no price and a cap', { hourly: 'unknown' }, { maxPrice: 1 }, /can't be read/],
  ['a price that is not a number', { hourly: Number.NaN }, { maxPrice: 1 }, /can't be read/],
  ['an infinite price', { hourly: Number.POSITIVE_INFINITY }, { maxPrice: 1 }, /can't be read/],
  ['a negative price', { hourly: -1 }, { maxPrice: 1 }, /can't be read/],
  ['at the total', {}, { maxTotal: 10 }, undefined],
  ['above the total', { total: 10.01 }, { maxTotal: 10 }, /up to \$10\.01 in total; the cap for one run is \$10\.00/],
  ['no limit in total', { total: 'unlimited' }, { maxTotal: 10 }, /has no limit/],
  ['no limit per hour', { hourly: 'unlimited' }, { maxPrice: 1 }, /has no upper limit/],
  ['no limit in total and no total cap', { total: 'unlimited' }, { maxPrice: 1 }, undefined],
  ['a fleet has no total', { total: 'not-a-run' }, { maxTotal: 1 }, undefined],
  ['a total that cannot be read', { total: 'unknown' }, { maxTotal: 10 }, /total price can't be read/],
  ['at the active cap', {}, { maxActive: 6 }, undefined],
  [
    'above the active cap',
    {},
    { maxActive: 5.99 },
    /Active resources cost \$5\.00\/h; another \$1\.00\/h would exceed the cap of \$5\.99\/h/,
  ],
  [
    'an active price that cannot be read',
    { activeHourly: undefined },
    { maxActive: 100 },
    /price of active resources can't be read/,
  ],
  ['no price and only an active cap', { hourly: 'unknown' }, { maxActive: 100 }, /can't be read/],
  ['no price and only a total cap', { hourly: 'unknown' }, { maxTotal: 100 }, /can't be read/],
])('%s', (_what, more, caps, words) => {
  const refusal = checkCaps(cost(more), caps);
  expect(refusal?.message ?? '').toMatch(words ?? /^$/);
  expect(refusal?.code).toBe(words && 'price-cap');
});

test('every accepted cost is within every cap', () => {
  const limit = fc.oneof(fc.double(), fc.constantFrom('unlimited' as const, 'unknown' as const));
  const amount = fc.oneof(fc.double(), fc.constant(undefined));
  const cap = fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.constant(undefined));
  fc.assert(
    fc.property(
      limit,
      limit,
      amount,
      fc.record({ maxPrice: cap, maxTotal: cap, maxActive: cap }),
      (hourly, total, activeHourly, caps) => {
        const within = (value: unknown, limit: number | undefined): boolean =>
          limit === undefined || (typeof value === 'number' && value >= 0 && value <= limit);
        const fits =
          within(hourly, caps.maxPrice) &&
          within(total, caps.maxTotal) &&
          within((activeHourly ?? Number.NaN) + Number(hourly), caps.maxActive);
        const admitted = checkCaps({ hourly, total, activeHourly }, caps) === undefined;
        expect(admitted && !fits).toBe(false);
      },
    ),
  );
});

test.each<[Partial<CappedCost>, Caps, string]>([
  [{ hourly: 2 }, { maxPrice: 1 }, 'Choose smaller or fewer resources, then plan again.'],
  [
    { total: 'unlimited' },
    { maxTotal: 1 },
    'Set max_duration, limit idle_duration and stop_duration, fix the number of replicas, remove schedule, and retry only on no-capacity, then plan again.',
  ],
  [{ total: 11 }, { maxTotal: 1 }, 'Set a shorter max_duration or choose smaller resources, then plan again.'],
  [{}, { maxActive: 1 }, 'Ask the user what to stop first, then plan again.'],
  [
    { total: 'unknown' },
    { maxTotal: 1 },
    expect.stringContaining('Choose resources for which dstack shows a price, then plan again.'),
  ],
])('%j with %j is refused with the next step', (more, caps, hint) => {
  expect(checkCaps(cost(more), caps)?.hint).toEqual(hint);
});

test('the refusal names the price that cannot be read', () => {
  const message = (more: Partial<CappedCost>, caps: Caps): string | undefined => checkCaps(cost(more), caps)?.message;
  const end = "can't be read from dstack's output, and a cap is set. Nothing was submitted.";
  expect(message({ hourly: 'unknown' }, { maxActive: 1 })).toBe(`The hourly price ${end}`);
  expect(message({ total: 'unknown' }, { maxTotal: 1 })).toBe(`The total price ${end}`);
  expect(message({ activeHourly: undefined }, { maxActive: 1 })).toBe(`The price of active resources ${end}`);
});
