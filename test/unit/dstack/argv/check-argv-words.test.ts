import { expect, test } from 'vitest';
import {
  checkArgv,
  checkHelpArgv,
  checkVersionArgv,
  hasEffect,
  isCheckedArgv,
} from '../../../../src/dstack/argv/check-argv.ts';
import { checkFlagValue, checkName } from '../../../../src/dstack/argv/check-value.ts';
import { flagOwner, ruleOf, RUNNABLE_COMMANDS } from '../../../../src/dstack/argv/command-rules.ts';
import type { CommandRequest } from '../../../../src/dstack/argv/command.ts';
import type { DocumentedFlag } from '../../../../src/dstack/argv/catalog.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { recordedCatalog } from '../../../support/recorded-catalog.ts';

const catalog = recordedCatalog('0.22.5');
const old = recordedCatalog('0.19.40');

async function refusal(request: CommandRequest, of = catalog): Promise<[string, string, string]> {
  const error: unknown = await checkArgv(request, of).catch((reason: unknown) => reason);
  if (!(error instanceof ToolError)) throw new Error('it was let through', { cause: error });
  return [error.code, error.message, error.hint];
}

function thrown(run: () => unknown): [string, string, string] {
  try {
    run();
  } catch (error) {
    if (error instanceof ToolError) return [error.code, error.message, error.hint];
  }
  throw new Error('it was let through');
}

const task = { command: 'apply', configurationType: 'task', flags: { '--file': 'f.yml' } } as const;

test.each<[string, CommandRequest, [string, string, string]]>([
  [
    'a switch with a value',
    { ...task, extraFlags: { '--spot': 'yes' } },
    [
      'invalid-value',
      '--spot is a switch and takes no value. Nothing was run.',
      'Give --spot the value true, or leave it out.',
    ],
  ],
  [
    'a flag of the server itself',
    { command: 'ps', extraFlags: { '--watch': true } },
    [
      'forbidden-flag',
      '--watch is set by this server itself. Nothing was run.',
      "Leave --watch out: use the tool's own inputs.",
    ],
  ],
  [
    'a flag that is the operator’s to allow',
    { ...task, extraFlags: { '--env': 'A=1' } },
    [
      'forbidden-flag',
      "--env isn't taken from a model: it reads files, carries a secret or opens something to others. Nothing was run.",
      'Leave --env out. What it sets can be written into the configuration file by the person who runs dstack.',
    ],
  ],
  [
    'a command without what it needs',
    { command: 'stop', positionals: ['my-run'] },
    [
      'forbidden-flag',
      'dstack stop without --yes would wait for an answer or never end. Nothing was run.',
      'Use the tool that is made for this.',
    ],
  ],
  [
    'a command that would block',
    { command: 'ps', flags: { '--watch': true } },
    [
      'forbidden-flag',
      "dstack ps with --watch isn't run by this server in this form. Nothing was run.",
      'Use the tool that is made for this.',
    ],
  ],
  [
    'a command that is not run',
    { command: 'gateway update' },
    [
      'unknown-command',
      "This server doesn't run `dstack gateway update`. Nothing was run.",
      `It runs: ${RUNNABLE_COMMANDS.join(', ')}. Anything else is for the person to run in a terminal.`,
    ],
  ],
])('%s is refused in these words', async (_what, request, words) => {
  expect(await refusal(request)).toEqual(words);
});

test.each<[string, CommandRequest, RegExp, RegExp]>([
  [
    'an empty list',
    { command: 'offer', extraFlags: { '--gpu': [] } },
    /^--gpu has an empty list of values\. Nothing was run\.$/,
    /^Give --gpu one value: ./,
  ],
  [
    'a list for one value',
    { command: 'ps', extraFlags: { '--last': [1, 2] } },
    /^--last has 2 values, and isn't documented as repeatable\. Nothing was run\.$/,
    /^Give --last one value: ./,
  ],
  [
    'two that exclude each other',
    { ...task, extraFlags: { '--spot': true, '--on-demand': true } },
    /^--on-demand and --spot exclude each other\. Nothing was run\.$/,
    /^Leave one of the two out\. Usage: dstack apply/,
  ],
  [
    'one name too many',
    { command: 'logs', positionals: ['run-one', 'x'.repeat(100)] },
    /^dstack logs takes no such argument: "x{80}"\. Nothing was run\.$/,
    /^Usage: dstack logs/,
  ],
  [
    'no name',
    { command: 'logs' },
    /^dstack logs needs a name \(run_name\)\. Nothing was run\.$/,
    /^Usage: dstack logs/,
  ],
  [
    'a value of the wrong type',
    { command: 'offer', extraFlags: { '--gpu': { a: 1 } } },
    /^The value of --gpu is no text and no number\. Nothing was run\.$/,
    /^Give --gpu a text or a number: ./,
  ],
  [
    'no finite number',
    { command: 'ps', extraFlags: { '--last': Number.NaN } },
    /^The value of --last is no finite number\. Nothing was run\.$/,
    /^Give --last a number: ./,
  ],
  [
    'an empty value',
    { command: 'offer', extraFlags: { '--gpu': '' } },
    /^The value of --gpu is empty\. Nothing was run\.$/,
    /^Give a value, or leave the flag out\.$/,
  ],
  [
    'a value that is a flag',
    { command: 'offer', extraFlags: { '--gpu': `-${'x'.repeat(100)}` } },
    /^The value of --gpu starts with "-": "-x{79}" would be read as a flag\. Nothing was run\.$/,
    /^Give a value that starts with another character\.$/,
  ],
  [
    'a long value',
    { command: 'offer', extraFlags: { '--gpu': 'é'.repeat(2_049) } },
    /^The value of --gpu is longer than 4096 bytes\. Nothing was run\.$/,
    /^Give a shorter value\.$/,
  ],
  [
    'a control',
    { command: 'offer', extraFlags: { '--gpu': 'a\u0007' } },
    /^The value of --gpu holds the character U\+0007, which is a control or can't be seen\. Nothing was run\.$/,
    /^Give printable characters only\.$/,
  ],
  [
    'what a shell would read',
    { command: 'offer', extraFlags: { '--gpu': 'a|b' } },
    /^The value of --gpu holds the character \|\. Nothing was run\.$/,
    /^None of \$ ` \\ ; \| & < > has a meaning in a dstack value\. A range is written 24GB\.\.80GB\.$/,
  ],
  [
    'no documented choice',
    { command: 'offer', flags: { '--format': 'x'.repeat(100) } },
    /^The value of --format is "x{80}"\. Nothing was run\.$/,
    /^dstack documents: plain, json\.$/,
  ],
  [
    'no name of a project',
    { command: 'ps', flags: { '--project': `a ${'b'.repeat(100)}` } },
    /^"a b{78}" is no name of a dstack project\. Nothing was run\.$/,
    /^A project name has letters, digits, - and _\.$/,
  ],
  [
    'no name of a resource',
    { command: 'logs', positionals: ['A'.repeat(100)] },
    /^"A{80}" is no name of a dstack resource\. Nothing was run\.$/,
    /^A name starts with a small letter and goes on with small letters, digits and -: 2 to 41 characters in all\.$/,
  ],
])('%s is refused in words that name it, cut to a length', async (_what, request, message, hint) => {
  const [, said, next] = await refusal(request);
  expect(said).toMatch(message);
  expect(next).toMatch(hint);
});

test('an old CLI that lacks a flag or a command of a tool is told as that', async () => {
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
    "dstack 0.22.5 doesn't document --invented for `ps`, which this needs. Nothing was run.",
    'Leave out the input that asks for it, or upgrade dstack: `uv tool upgrade dstack` or `pip install -U dstack`.',
  ]);
});

test('a look-alike of an argv is none, and an argv can not be changed', async () => {
  const argv = await checkArgv({ command: 'ps' }, catalog);
  expect(isCheckedArgv(argv)).toBe(true);
  for (const other of [undefined, null, 'ps', 0, {}, { ...argv }, Object.create(argv)])
    expect(isCheckedArgv(other)).toBe(false);
  expect(Object.isFrozen(argv)).toBe(true);
  expect(Object.isFrozen(argv.argv)).toBe(true);
  expect(hasEffect(argv, 'change', 'destroy')).toBe(false);
  expect(hasEffect(argv, 'change', 'read')).toBe(true);
  expect(hasEffect(argv)).toBe(false);
});

test('help and version are asked for, and nothing else', () => {
  expect(checkVersionArgv()).toMatchObject({ command: '--version', argv: ['--version'], effect: 'read' });
  expect(checkHelpArgv('')).toMatchObject({ command: '--help', argv: ['--help'], effect: 'read' });
  expect(checkHelpArgv('run get')).toMatchObject({ command: 'run get --help', argv: ['run', 'get', '--help'] });
  expect(checkHelpArgv('a b c').argv).toEqual(['a', 'b', 'c', '--help']);
  expect(checkHelpArgv(`a${'b'.repeat(40)}`).argv).toHaveLength(2);
  const hint = 'Ask for the help of a command such as `apply` or `run get`.';
  for (const [command, shown] of [
    ['a b c d', '"a b c d"'],
    [`a${'b'.repeat(41)}`, `"a${'b'.repeat(41)}"`],
    ['A'.repeat(100), `"${'A'.repeat(80)}"`],
    ['-h', '"-h"'],
    ['ps  logs', '"ps  logs"'],
  ] as const)
    expect(thrown(() => checkHelpArgv(command))).toEqual(['unknown-command', `${shown} is no dstack command.`, hint]);
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
] as const)('these are the %s’s to give: %j', (giver, names) => {
  for (const name of names) expect([name, flagOwner(flag(name, { value: 'none' }))]).toEqual([name, giver]);
});

test('a flag that nobody knows yet is the operator’s when its value says that it is a file, an address or a secret', () => {
  for (const metavar of ['FILE', 'SOME_PATH', 'URL', 'SSH_PRIVATE_KEY', 'OAUTH_TOKEN', 'HOST'])
    expect([metavar, flagOwner(flag('--new', takes(metavar)))]).toEqual([metavar, 'operator']);
  for (const metavar of ['NAME', 'DURATION', 'PROFILE', 'N'])
    expect(flagOwner(flag('--new', takes(metavar)))).toBe('model');
});

test('free text may hold what a shell would read, and only where a file, an address or free text is meant', () => {
  for (const metavar of ['FILE', 'PATH', 'DIR', 'REPO', 'URL', 'SSH_PRIVATE_KEY', 'OAUTH_TOKEN', 'KEY[=VALUE]'])
    expect(checkFlagValue(flag('--new', takes(metavar)), 'a$b')).toBe('a$b');
  for (const metavar of ['MY_FILE', 'FILES', 'NAME', 'KEY', 'VALUE', ''])
    expect(thrown(() => checkFlagValue(flag('--new', takes(metavar)), 'a$b'))[0]).toBe('invalid-value');
});

test.each(['ab', 'a1', 'a-', `a${'b'.repeat(40)}`, 'a-1-b'])('%j is a name', (name) => {
  expect(checkName(name)).toBe(name);
});

test.each(['a', `a${'b'.repeat(41)}`, '1a', '-a', 'aB', 'a_b', 'a.b', 'ab\n', '\nab', ' ab', 'Ab'])(
  '%j is no name',
  (name) => {
    expect(thrown(() => checkName(name))[0]).toBe('invalid-name');
  },
);

test('the commands that may be run, and what each does to the world', () => {
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
    'stop: destroy by name, needs --yes, refuses nothing',
    'delete: destroy, needs --file --yes, refuses nothing',
    'fleet delete: destroy by name, needs --yes, refuses nothing',
    'volume delete: destroy by name, needs --yes, refuses nothing',
    'gateway delete: destroy by name, needs --yes, refuses nothing',
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
