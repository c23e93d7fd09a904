import { expect, test } from 'vitest';
import {
  checkArgv,
  checkHelpArgv,
  checkVersionArgv,
  hasEffect,
  isCheckedArgv,
} from '../../../../src/dstack/argv/check-argv.ts';
import {
  checkFlagValue,
  checkName,
  flagOwner,
  ruleOf,
  RUNNABLE_COMMANDS,
} from '../../../../src/dstack/argv/command-rules.ts';
import type { CommandRequest, DocumentedFlag } from '../../../../src/dstack/argv/command.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { recordedCatalog } from '../../../support/recorded-catalog.ts';

const catalog = recordedCatalog('0.22.5');
const old = recordedCatalog('0.19.40');

async function refusal(request: CommandRequest, of = catalog): Promise<[string, string, string]> {
  const error: unknown = await checkArgv(request, of).catch((reason: unknown) => reason);
  if (!(error instanceof ToolError)) throw new Error('it was accepted', { cause: error });
  return [error.code, error.message, error.hint];
}

function thrown(run: () => unknown): [string, string, string] {
  try {
    run();
  } catch (error) {
    if (error instanceof ToolError) return [error.code, error.message, error.hint];
  }
  throw new Error('it was accepted');
}

const task = { command: 'apply', configurationType: 'task', flags: { '--file': 'f.yml' } } as const;

test.each<[string, CommandRequest, [string, string, string]]>([
  [
    'a switch with a value',
    { ...task, extraFlags: { '--spot': 'yes' } },
    ['invalid-value', '--spot is a switch and takes no value. Nothing was run.', 'Set --spot to true, or omit it.'],
  ],
  [
    'a flag that tools set',
    { command: 'ps', extraFlags: { '--watch': true } },
    [
      'forbidden-flag',
      '--watch is set by this server. Nothing was run.',
      "Omit --watch and use the tool's own inputs.",
    ],
  ],
  [
    'a flag that needs the operator’s permission',
    { ...task, extraFlags: { '--env': 'A=1' } },
    [
      'forbidden-flag',
      "--env can't be used by models: it can read files, expose secrets or open network access. Nothing was run.",
      'Omit --env. If the user needs it, they can run dstack themselves in a terminal.',
    ],
  ],
  [
    'a command without a required flag',
    { command: 'stop', positionals: ['my-run'] },
    [
      'forbidden-flag',
      'dstack stop without --yes would wait for input or never end. Nothing was run.',
      'Use the dedicated tool instead.',
    ],
  ],
  [
    'a command that would block',
    { command: 'ps', flags: { '--watch': true } },
    [
      'forbidden-flag',
      'dstack ps with --watch is not supported by this server. Nothing was run.',
      'Use the dedicated tool instead.',
    ],
  ],
  [
    'a command that is not on the list',
    { command: 'gateway update' },
    [
      'unknown-command',
      "This server doesn't run `dstack gateway update`. Nothing was run.",
      `It runs: ${RUNNABLE_COMMANDS.join(', ')}. The user can run anything else in a terminal.`,
    ],
  ],
])('%s is rejected with these words', async (_what, request, words) => {
  expect(await refusal(request)).toEqual(words);
});

test.each<[string, CommandRequest, RegExp, RegExp]>([
  [
    'an empty list',
    { command: 'offer', extraFlags: { '--gpu': [] } },
    /^--gpu has an empty list of values\. Nothing was run\.$/,
    /^Pass one value for --gpu: ./,
  ],
  [
    'a list for one value',
    { command: 'ps', extraFlags: { '--last': [1, 2] } },
    /^--last has 2 values but isn't documented as repeatable\. Nothing was run\.$/,
    /^Pass one value for --last: ./,
  ],
  [
    'two mutually exclusive flags',
    { ...task, extraFlags: { '--spot': true, '--on-demand': true } },
    /^--on-demand and --spot are mutually exclusive\. Nothing was run\.$/,
    /^Omit one of them\. Usage: dstack apply/,
  ],
  [
    'an extra name',
    { command: 'logs', positionals: ['run-one', 'x'.repeat(100)] },
    /^dstack logs doesn't accept this argument: "x{80}"\. Nothing was run\.$/,
    /^Usage: dstack logs/,
  ],
  [
    'a missing name',
    { command: 'logs' },
    /^dstack logs requires a name \(run_name\)\. Nothing was run\.$/,
    /^Usage: dstack logs/,
  ],
  [
    'a value of the wrong type',
    { command: 'offer', extraFlags: { '--gpu': { a: 1 } } },
    /^The value of --gpu must be a string or a number\. Nothing was run\.$/,
    /^Pass a string or a number for --gpu: ./,
  ],
  [
    'a number that is not finite',
    { command: 'ps', extraFlags: { '--last': Number.NaN } },
    /^The value of --last must be a finite number\. Nothing was run\.$/,
    /^Pass a number for --last: ./,
  ],
  [
    'an empty value',
    { command: 'offer', extraFlags: { '--gpu': '' } },
    /^The value of --gpu is empty\. Nothing was run\.$/,
    /^Pass a value, or omit the flag\.$/,
  ],
  [
    'a value that is a flag',
    { command: 'offer', extraFlags: { '--gpu': `-${'x'.repeat(100)}` } },
    /^The value of --gpu starts with "-": "-x{79}" would be parsed as a flag\. Nothing was run\.$/,
    /^Pass a value that starts with another character\.$/,
  ],
  [
    'a long value',
    { command: 'offer', extraFlags: { '--gpu': 'é'.repeat(2_049) } },
    /^The value of --gpu is longer than 4096 bytes\. Nothing was run\.$/,
    /^Pass a shorter value\.$/,
  ],
  [
    'a control character',
    { command: 'offer', extraFlags: { '--gpu': 'a\u0007' } },
    /^The value of --gpu contains the character U\+0007, which is a control character or invisible\. Nothing was run\.$/,
    /^Use only printable characters\.$/,
  ],
  [
    'a shell character',
    { command: 'offer', extraFlags: { '--gpu': 'a|b' } },
    /^The value of --gpu contains the character \|\. Nothing was run\.$/,
    /^The characters \$ ` \\ ; \| & < > are not used in dstack values\. Ranges look like 24GB\.\.80GB\.$/,
  ],
  [
    'an undocumented choice',
    { command: 'offer', flags: { '--format': 'x'.repeat(100) } },
    /^The value of --format is "x{80}"\. Nothing was run\.$/,
    /^Allowed values: plain, json\.$/,
  ],
  [
    'an invalid project name',
    { command: 'ps', flags: { '--project': `a ${'b'.repeat(100)}` } },
    /^"a b{78}" isn't a valid dstack project name\. Nothing was run\.$/,
    /^A project name contains only letters, digits, - and _\.$/,
  ],
  [
    'an invalid resource name',
    { command: 'logs', positionals: ['A'.repeat(100)] },
    /^"A{80}" isn't a valid dstack resource name\. Nothing was run\.$/,
    /^A name is 2 to 41 characters long: a lowercase letter, then lowercase letters, digits and -\.$/,
  ],
])('%s is rejected with a message that quotes it, up to a length', async (_what, request, message, hint) => {
  const [, said, next] = await refusal(request);
  expect(said).toMatch(message);
  expect(next).toMatch(hint);
});

test('an old CLI that lacks a flag or a command of a tool is reported as too old', async () => {
  const [code, message, hint] = await refusal(
    { command: 'run get', flags: { '--json': true }, positionals: ['my-run'] },
    old,
  );
  expect([code, message]).toEqual([
    'cli-too-old',
    expect.stringMatching(/This tool needs `run get`\. Nothing was run\.$/),
  ]);
  expect(hint).not.toBe('');
  expect(await refusal({ command: 'ps', flags: { '--invented': true } })).toEqual([
    'cli-too-old',
    "This needs --invented, which dstack 0.22.5 doesn't document for `ps`. Nothing was run.",
    'Omit the input that requires it, or upgrade dstack: `uv tool upgrade dstack` or `pip install -U dstack`.',
  ]);
});

test('a look-alike is not a checked argv, and a checked argv is frozen', async () => {
  const argv = await checkArgv({ command: 'ps' }, catalog);
  expect(isCheckedArgv(argv)).toBe(true);
  for (const other of [undefined, null, 'ps', 0, {}, { ...argv }, Object.create(argv)])
    expect(isCheckedArgv(other)).toBe(false);
  expect(Object.isFrozen(argv)).toBe(true);
  expect(Object.isFrozen(argv.argv)).toBe(true);
  expect(hasEffect(argv, 'change')).toBe(false);
  expect(hasEffect(argv, 'read')).toBe(true);
});

test('the argv for help or version does nothing else', () => {
  expect(checkVersionArgv()).toMatchObject({ command: '--version', argv: ['--version'], effect: 'read' });
  expect(checkHelpArgv('')).toMatchObject({ command: '--help', argv: ['--help'], effect: 'read' });
  expect(checkHelpArgv('run get')).toMatchObject({ command: 'run get --help', argv: ['run', 'get', '--help'] });
  expect(checkHelpArgv('a b c').argv).toEqual(['a', 'b', 'c', '--help']);
  expect(checkHelpArgv(`a${'b'.repeat(40)}`).argv).toHaveLength(2);
  const hint = 'Pass a command such as `apply` or `run get`.';
  for (const [command, shown] of [
    ['a b c d', '"a b c d"'],
    [`a${'b'.repeat(41)}`, `"a${'b'.repeat(41)}"`],
    ['A'.repeat(100), `"${'A'.repeat(80)}"`],
    ['-h', '"-h"'],
    ['ps  logs', '"ps  logs"'],
  ] as const)
    expect(thrown(() => checkHelpArgv(command))).toEqual(['unknown-command', `${shown} isn't a dstack command.`, hint]);
});

const flag = (long: string, more: Partial<DocumentedFlag> = {}): DocumentedFlag => ({
  ...catalogFlag,
  long,
  ...more,
});
const { own } = await catalog.flagsOf('offer');
const found = own.get('--max-price');
if (found === undefined) throw new Error('offer documents --max-price');
const catalogFlag: DocumentedFlag = found;
const takes = (metavar: string): Pick<DocumentedFlag, 'value'> => {
  const { value } = catalogFlag;
  if (value === 'none') throw new Error('it takes a value');
  return { value: { ...value, metavar } };
};

test.each([
  ['tool', ['--yes', '--no', '--detach', '--force', '--abort', '--file', '--project', '--id', '--instance', '--json']],
  ['tool', ['--format', '--watch', '--follow', '--logs', '--help', '--version']],
  [
    'operator',
    ['--ssh-identity', '--git-identity', '--token', '--env', '--host', '--repo', '--repo-branch', '--repo-hash'],
  ],
  [
    'operator',
    ['--new-token', '--api-key', '--keys-file', '--password', '--passphrase', '--some-secret', '--credential'],
  ],
  [
    'operator',
    [
      '--credentials',
      '--key',
      '--output-path',
      '--work-dir',
      '--bind',
      '--address',
      '--url',
      '--exec',
      '--command',
      '--my_token_x',
    ],
  ],
  [
    'model',
    [
      '--target-secret',
      '--gpu',
      '--spot',
      '--max-price',
      '--keyboard',
      '--direct',
      '--hostess',
      '--tokens',
      '--pathology',
    ],
  ],
] as const)('the %s owns these flags: %j', (owner, names) => {
  for (const name of names) expect([name, flagOwner(flag(name, { value: 'none' }))]).toEqual([name, owner]);
});

test('the operator owns an unknown flag whose value is a file, an address or a secret', () => {
  for (const metavar of ['FILE', 'SOME_PATH', 'URL', 'SSH_PRIVATE_KEY', 'OAUTH_TOKEN', 'HOST'])
    expect([metavar, flagOwner(flag('--new', takes(metavar)))]).toEqual([metavar, 'operator']);
  for (const metavar of ['NAME', 'DURATION', 'PROFILE', 'N'])
    expect(flagOwner(flag('--new', takes(metavar)))).toBe('model');
});

test('only a file, an address or free text may contain shell characters', () => {
  for (const metavar of ['FILE', 'PATH', 'DIR', 'REPO', 'URL', 'SSH_PRIVATE_KEY', 'OAUTH_TOKEN', 'KEY[=VALUE]'])
    expect(checkFlagValue(flag('--new', takes(metavar)), 'a$b')).toBe('a$b');
  for (const metavar of ['MY_FILE', 'FILES', 'NAME', 'KEY', 'VALUE', ''])
    expect(thrown(() => checkFlagValue(flag('--new', takes(metavar)), 'a$b'))[0]).toBe('invalid-value');
});

test.each(['ab', 'a1', 'a-', `a${'b'.repeat(40)}`, 'a-1-b'])('%j is a valid name', (name) => {
  expect(checkName(name)).toBe(name);
});

test.each(['a', `a${'b'.repeat(41)}`, '1a', '-a', 'aB', 'a_b', 'a.b', 'ab\n', '\nab', ' ab', 'Ab'])(
  '%j is not a valid name',
  (name) => {
    expect(thrown(() => checkName(name))[0]).toBe('invalid-name');
  },
);

test('the commands that can be run have these rules', () => {
  const rules = RUNNABLE_COMMANDS.map((command) => {
    const bare = ruleOf(command, new Set());
    return `${command}: ${bare?.effect ?? ''}${bare?.named === true ? ' by name' : ''}, needs ${bare?.needs.join(' ') || 'nothing'}, refuses ${bare?.refuses.join(' ') || 'nothing'}`;
  });
  expect(rules).toEqual([
    'apply: read, needs --file, refuses --yes --detach --force',
    'ps: read, needs nothing, refuses --yes --watch',
    'logs: read by name, needs nothing, refuses --yes --watch',
    'offer: read, needs nothing, refuses --yes --watch',
    'event: read, needs nothing, refuses --yes --watch',
    'event list: read, needs nothing, refuses --yes --watch',
    'metrics: read by name, needs nothing, refuses --yes --watch',
    'run get: read by name, needs nothing, refuses --yes --watch',
    'fleet: read, needs nothing, refuses --yes --watch',
    'fleet list: read, needs nothing, refuses --yes --watch',
    'fleet get: read by name, needs nothing, refuses --yes --watch',
    'volume: read, needs nothing, refuses --yes --watch',
    'volume list: read, needs nothing, refuses --yes --watch',
    'volume get: read by name, needs nothing, refuses --yes --watch',
    'gateway: read, needs nothing, refuses --yes --watch',
    'gateway list: read, needs nothing, refuses --yes --watch',
    'gateway get: read by name, needs nothing, refuses --yes --watch',
    'secret list: read, needs nothing, refuses --yes --watch',
    'preset: read, needs nothing, refuses --yes --watch',
    'preset list: read, needs nothing, refuses --yes --watch',
    'export list: read, needs nothing, refuses --yes --watch',
    'import list: read, needs nothing, refuses --yes --watch',
    'project list: read, needs nothing, refuses --yes --watch',
    'attach: change by name, needs nothing, refuses nothing',
    'stop: change by name, needs --yes, refuses nothing',
    'delete: change, needs --file --yes, refuses nothing',
    'fleet delete: change by name, needs --yes, refuses nothing',
    'volume delete: change by name, needs --yes, refuses nothing',
    'gateway delete: change by name, needs --yes, refuses nothing',
  ]);
  expect(ruleOf('apply', new Set(['--file', '--yes', '--detach']))).toEqual({
    effect: 'change',
    needs: ['--file', '--yes', '--detach'],
    refuses: [],
    named: false,
  });
  expect(ruleOf('apply', new Set(['--file', '--yes']))?.effect).toBe('read');
  expect(ruleOf('rm', new Set())).toBeUndefined();
});
