import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkArgv, checkHelpArgv, isCheckedArgv } from '../../../../src/dstack/argv/check-argv.ts';
import type { CommandRequest } from '../../../../src/dstack/argv/command.ts';
import { RUNNABLE_COMMANDS } from '../../../../src/dstack/argv/command-rules.ts';
import type { ErrorCode } from '../../../../src/core/errors.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { recordedCatalog, recordedPages } from '../../../support/recorded-catalog.ts';
import { propertyRuns } from '../../../support/effort.ts';
import { codePoint } from '../../../support/code-points.ts';

const catalog = recordedCatalog('0.22.5');
const old = recordedCatalog('0.19.40');

/** Returns the argv, or the code of the rejection. */
async function check(request: CommandRequest, allowedFlags: readonly string[] = [], of = catalog): Promise<string> {
  try {
    return (await checkArgv(request, of, () => allowedFlags)).argv.join(' ');
  } catch (error) {
    if (error instanceof ToolError) return error.code;
    throw error;
  }
}

async function refusal(request: CommandRequest, of = catalog): Promise<string> {
  const error: unknown = await checkArgv(request, of).catch((reason: unknown) => reason);
  if (!(error instanceof ToolError)) throw new Error('it was accepted', { cause: error });
  return `${error.message} ${error.hint}`;
}

describe('a request within the rules', () => {
  test.each<[CommandRequest, string]>([
    [{ command: 'ps' }, 'ps'],
    [{ command: 'ps', flags: { '--all': true, '--last': 3 } }, 'ps --all --last 3'],
    [{ command: 'ps', flags: { '--all': false, '--last': undefined } }, 'ps'],
    [{ command: 'ps', flags: { '--json': true }, extraFlags: { '--verbose': true } }, 'ps --json --verbose'],
    [{ command: 'logs', flags: { '--since': '5m' }, positionals: ['my-run'] }, 'logs --since 5m my-run'],
    [
      { command: 'offer', extraFlags: { '--gpu': '24GB..80GB', '--max-price': 2.5 } },
      'offer --gpu 24GB..80GB --max-price 2.5',
    ],
    [{ command: 'offer', extraFlags: { '--backend': ['aws', 'gcp'] } }, 'offer --backend aws --backend gcp'],
    [{ command: 'offer', flags: { '--format': 'json' } }, 'offer --format json'],
    [{ command: 'event list', extraFlags: { '--target-secret': 'hf' } }, 'event list --target-secret hf'],
    [
      {
        command: 'apply',
        configurationType: 'task',
        flags: { '--file': 'a b/$x.dstack.yml' },
        extraFlags: { '--spot': true },
      },
      'apply --file a b/$x.dstack.yml --spot',
    ],
  ])('%j is %s', async (request, argv) => {
    expect(await check(request)).toBe(argv);
  });

  test('the project precedes a subcommand that inherits it from its parent', async () => {
    const flags = { '--json': true, '--project': 'main' } as const;
    expect(await check({ command: 'run get', flags, positionals: ['my-run'] })).toBe(
      'run --project main get --json my-run',
    );
    expect(await check({ command: 'ps', flags: { '--project': 'main' } })).toBe('ps --project main');
  });

  test('no other flag of the parent command is inherited', async () => {
    expect(await check({ command: 'event list', flags: { '--project': 'p' } })).toBe('event --project p list');
    expect(
      await check({ command: 'fleet get', flags: { '--json': true, '--verbose': true }, positionals: ['f1'] }),
    ).toBe('cli-too-old');
  });

  test('a checked argv is distinct from a look-alike and frozen', async () => {
    const argv = await checkArgv({ command: 'ps' }, catalog);
    expect(isCheckedArgv(argv)).toBe(true);
    expect(isCheckedArgv({ ...argv })).toBe(false);
    expect(() => Object.assign(argv.argv, { 0: 'server' })).toThrow(TypeError);
  });
});

describe('the argv determines the effect', () => {
  const apply = { '--file': 'x.dstack.yml' } as const;
  test.each<[CommandRequest, string]>([
    [{ command: 'apply', flags: apply }, 'read'],
    [{ command: 'apply', flags: { ...apply, '--yes': true, '--detach': true } }, 'change'],
    [{ command: 'apply', flags: { ...apply, '--yes': true, '--detach': true, '--force': true } }, 'change'],
    [{ command: 'attach', positionals: ['my-run'] }, 'change'],
    [{ command: 'stop', flags: { '--yes': true }, positionals: ['my-run'] }, 'change'],
    [{ command: 'stop', flags: { '--yes': true, '--abort': true }, positionals: ['my-run'] }, 'change'],
    [{ command: 'delete', flags: { ...apply, '--yes': true } }, 'change'],
    [{ command: 'fleet delete', flags: { '--yes': true, '--instance': [0, 2] }, positionals: ['f1'] }, 'change'],
  ])('%j: %s', async (request, effect) => {
    expect((await checkArgv(request, catalog)).effect).toBe(effect);
  });

  test.each<[CommandRequest]>([
    [{ command: 'apply' }],
    [{ command: 'apply', flags: { ...apply, '--yes': true } }],
    [{ command: 'apply', flags: { ...apply, '--detach': true } }],
    [{ command: 'apply', flags: { ...apply, '--force': true } }],
    [{ command: 'apply', flags: { '--yes': true, '--detach': true } }],
    [{ command: 'stop', positionals: ['my-run'] }],
    [{ command: 'delete', flags: apply }],
    [{ command: 'delete', flags: { '--yes': true } }],
    [{ command: 'fleet delete', positionals: ['f1'] }],
    [{ command: 'volume delete', positionals: ['v1'] }],
    [{ command: 'gateway delete', positionals: ['g1'] }],
    [{ command: 'ps', flags: { '--watch': true } }],
    [{ command: 'event', flags: { '--watch': true } }],
    [{ command: 'metrics', flags: { '--watch': true }, positionals: ['my-run'] }],
  ])('%j would prompt, block or do more, and is rejected', async (request) => {
    expect(await check(request)).toBe('forbidden-flag');
  });
});

describe('commands', () => {
  test.each([
    'server',
    'login',
    'init',
    'secret set',
    'secret get',
    'project add',
    'project list --help',
    'preset push',
    'completion',
  ])('`%s` is never run', async (command) => {
    expect(await check({ command })).toBe('unknown-command');
  });

  test.each([
    '',
    ' ps',
    'ps ',
    'PS',
    'ps --all',
    'fleet  get',
    '__proto__',
    'constructor',
    'destroy',
    '--version',
    'ps\0',
  ])('%j is not a command', async (command) => {
    expect(await check({ command })).toBe('unknown-command');
  });

  test('a command that the installed version does not document is reported with those that it does', async () => {
    expect(await refusal({ command: 'event' }, old)).toMatch(
      /dstack 0\.19\.40 doesn't document `event`; it documents: apply, attach.*upgrade/,
    );
    expect(await refusal({ command: 'fleet get', flags: { '--json': true } }, old)).toContain(
      '`fleet` documents: list, delete.',
    );
    expect(await check({ command: 'event' }, [], old)).toBe('cli-too-old');
  });

  test("that aren't documented are all named at once, each with its nearest, also by meaning", async () => {
    const said = await refusal({
      command: 'apply',
      configurationType: 'task',
      extraFlags: { '--max-cost': 1, '--zone': 'x', '--gpu': 'A100', '--frobnicate': true },
    });
    expect(said).toMatch(/"--max-cost".*"--zone".*"--frobnicate".*Nothing was run\. .*--max-price\?.*--region\?/);
    expect(said).not.toMatch(/"--gpu"/);
    expect(said.match(/Nothing was run/g)).toHaveLength(1);
  });

  test('an undocumented configuration type is rejected', async () => {
    expect(await check({ command: 'apply', configurationType: 'taks', flags: { '--file': 'a.yml' } })).toBe(
      'unknown-command',
    );
  });
});

describe('flags', () => {
  const spellings: [string, ErrorCode, RegExp][] = [
    ['--al', 'unknown-flag', /abbreviated.*Use --all/],
    ['--ver', 'unknown-flag', /abbreviated.*Use --verbose/],
    ['--verbos', 'unknown-flag', /abbreviated/],
    ['-a', 'unknown-flag', /short flag.*Use --all/],
    ['-av', 'unknown-flag', /Only long flags/],
    ['-an3', 'unknown-flag', /Only long flags/],
    ['--last=3', 'unknown-flag', /contains the value.*"--last": value/],
    ['--all=1', 'unknown-flag', /contains the value/],
    ['-n=3', 'unknown-flag', /"--last": value/],
    ['--lats', 'unknown-flag', /Did you mean --last\?/],
    ['--show-all', 'unknown-flag', /Did you mean --all\?/],
    ['--gpu', 'unknown-flag', /doesn't document "--gpu" for `ps`.*--all, --verbose/],
    ['--ALL', 'unknown-flag', /Did you mean --all/],
    [' --all', 'unknown-flag', /--all/],
    ['--all ', 'unknown-flag', /--all/],
    ['--аll', 'unknown-flag', /document/],
    ['--al\u200bl', 'unknown-flag', /document/],
    ['—all', 'unknown-flag', /document/],
    ['all', 'unknown-flag', /--all/],
    ['--', 'unknown-flag', /document/],
    ['-', 'unknown-flag', /document/],
    ['', 'unknown-flag', /document/],
    ['--all\n--watch', 'unknown-flag', /document/],
    ['__proto__', 'unknown-flag', /document/],
    ['toString', 'unknown-flag', /document/],
  ];
  test.each(spellings)('%j is rejected (%s) with a suggestion', async (name, code, words) => {
    const request = { command: 'ps', extraFlags: Object.fromEntries([[name, true]]) };
    expect(await check(request)).toBe(code);
    expect(await refusal(request)).toMatch(words);
  });

  test('the list in a rejection omits flags that models cannot use', async () => {
    expect(await refusal({ command: 'ps', extraFlags: { '--gpu': 'A100' } })).toMatch(
      /Flags of `ps`: --all, --verbose, --last\.$/,
    );
  });

  test('a flag of one configuration type is unknown to another', async () => {
    const request = { command: 'apply', flags: { '--file': 'f.yml' }, extraFlags: { '--gpu': 'A100' } };
    expect(await check({ ...request, configurationType: 'task' })).toBe('apply --file f.yml --gpu A100');
    expect(await check({ ...request, configurationType: 'fleet' })).toBe('unknown-flag');
    expect(await check(request)).toBe('unknown-flag');
  });

  const tooling = ['--yes', '--detach', '--file', '--force', '--help', '--project', '--verbose'];
  test.each(tooling)('%s of apply belongs to the tools, or is harmless', async (name) => {
    const value = name === '--file' || name === '--project' ? 'x' : true;
    const got = await check({
      command: 'apply',
      configurationType: 'task',
      flags: { '--file': 'f.yml' },
      extraFlags: { [name]: value },
    });
    expect(got).toBe(name === '--verbose' ? 'apply --file f.yml --verbose' : 'forbidden-flag');
  });

  const guarded: [string, string | boolean][] = [
    ['--ssh-identity', '/home/me/.ssh/id_rsa'],
    ['--git-identity', '/home/me/.ssh/id_rsa'],
    ['--token', 'secret'],
    ['--env', 'A=B'],
    ['--host', '0.0.0.0'],
    ['--repo', 'https://example.com/r.git'],
    ['--repo-branch', 'main'],
  ];
  test.each(guarded)('models can use %s only with the operator’s permission', async (name, value) => {
    const request = {
      command: 'apply',
      configurationType: 'task',
      flags: { '--file': 'f.yml' },
      extraFlags: { [name]: value },
    };
    expect(await check(request)).toBe('forbidden-flag');
    expect(await check(request, [name])).toBe(`apply --file f.yml ${name} ${String(value)}`);
  });

  test('a rejection does not say how to bypass it', async () => {
    const request = {
      command: 'apply',
      configurationType: 'task',
      flags: { '--file': 'f.yml' },
      extraFlags: { '--env': 'A=B' },
    };
    expect(await refusal(request)).not.toMatch(/allow|setting|DSTACK_MCP/i);
  });

  test('the operator allow-list cannot enable tool-owned flags', async () => {
    const request = { command: 'apply', flags: { '--file': 'f.yml' }, extraFlags: { '--yes': true, '--detach': true } };
    expect(await check(request, ['--yes', '--detach'])).toBe('forbidden-flag');
  });

  test('a flag that the tool set cannot be set again', async () => {
    const request = { command: 'offer', flags: { '--max-price': 1 }, extraFlags: { '--max-price': 100 } };
    expect(await check(request)).toBe('forbidden-flag');
  });

  test('mutually exclusive flags are rejected together and accepted alone', async () => {
    const both = { command: 'offer', extraFlags: { '--spot': true, '--on-demand': true } };
    expect(await check(both)).toBe('invalid-input');
    expect(await refusal(both)).toContain('--on-demand and --spot are mutually exclusive');
    expect(await check({ command: 'offer', extraFlags: { '--on-demand': true, '--no-retry': true } })).toBe(
      'offer --on-demand --no-retry',
    );
  });

  test('a required flag has to be present', async () => {
    expect(await refusal({ command: 'run get', positionals: ['my-run'] })).toContain('requires --json');
  });
});

describe('values', () => {
  const values: [string, Record<string, unknown>, string][] = [
    ['a switch with a value', { '--all': 'yes' }, 'invalid-value'],
    ['a switch with false', { '--all': false }, 'invalid-value'],
    ['a switch with null', { '--all': null }, 'invalid-value'],
    ['no value', { '--last': true }, 'invalid-value'],
    ['an object', { '--last': { toString: 1 } }, 'invalid-value'],
    ['a list for a flag that is not repeatable', { '--last': [1, 2] }, 'invalid-value'],
    ['an empty list', { '--last': [] }, 'invalid-value'],
    ['a list of lists', { '--last': [[1]] }, 'invalid-value'],
    ['an empty text', { '--last': '' }, 'invalid-value'],
    ['a flag', { '--last': '--watch' }, 'invalid-value'],
    ['a short flag', { '--last': '-w' }, 'invalid-value'],
    ['a negative number', { '--last': -1 }, 'invalid-value'],
    ['not a number', { '--last': Number.NaN }, 'invalid-value'],
    ['an infinite number', { '--last': Number.POSITIVE_INFINITY }, 'invalid-value'],
    ['a newline', { '--last': '1\n--watch' }, 'invalid-value'],
    ['NUL', { '--last': '1\0' }, 'invalid-value'],
    ['an escape sequence', { '--last': '\u001b[31m1' }, 'invalid-value'],
    ['a bidirectional override', { '--last': '1\u202e2' }, 'invalid-value'],
    ['a zero-width space', { '--last': '1\u200b' }, 'invalid-value'],
    ['a soft hyphen', { '--last': '1\u00ad' }, 'invalid-value'],
    ['a tag character', { '--last': '1\u{e0041}' }, 'invalid-value'],
    ['a variation selector', { '--last': '1\ufe0f' }, 'invalid-value'],
    ['a no-break space', { '--last': '1\u00a0' }, 'invalid-value'],
    ['a line separator', { '--last': '1\u2028' }, 'invalid-value'],
    ['half a surrogate pair', { '--last': '1\ud800' }, 'invalid-value'],
    ['a blank Braille pattern', { '--last': '1\u2800' }, 'invalid-value'],
    ['a private-use character', { '--last': '1\ue000' }, 'invalid-value'],
    ['more than 4 KB', { '--last': '1'.repeat(4097) }, 'invalid-value'],
    ['4 KB', { '--last': '1'.repeat(4096) }, `ps --last ${'1'.repeat(4096)}`],
  ];
  test.each(values)('%s', async (_what, extraFlags, result) => {
    expect(await check({ command: 'ps', extraFlags })).toBe(result);
  });

  test.each(['$', '`', '\\', ';', '|', '&', '<', '>'])('%s is rejected in a value', async (character) => {
    expect(await check({ command: 'offer', extraFlags: { '--gpu': `A100${character}x` } })).toBe('invalid-value');
  });

  test('a choice is one of the documented ones, exactly', async () => {
    expect(await check({ command: 'ps', flags: { '--format': 'JSON' } })).toBe('invalid-value');
    expect(await refusal({ command: 'ps', flags: { '--format': 'yaml' } })).toContain('plain, json');
  });

  test.each([
    'Run',
    'r',
    '-r',
    'my_run',
    'my run',
    'my-run;ls',
    `r${'a'.repeat(41)}`,
    '../x',
    'run\n',
    'ʀun',
    '1run',
    '',
  ])('%j is not a valid run name', async (name) => {
    expect(await check({ command: 'logs', positionals: [name] })).toBe('invalid-name');
    expect(
      await check({
        command: 'apply',
        configurationType: 'task',
        flags: { '--file': 'f.yml' },
        extraFlags: { '--name': name },
      }),
    ).toMatch(/^invalid-(name|value)$/);
  });

  test.each(['a b', 'p/q', '..', 'p\u0131', 'x'.repeat(51)])('%j is not a valid project name', async (project) => {
    expect(await check({ command: 'ps', flags: { '--project': project } })).toBe('invalid-name');
  });

  test('a command accepts at most its name, or no positional', async () => {
    expect(await check({ command: 'logs', positionals: ['run-one', 'run-two'] })).toBe('invalid-input');
    expect(await check({ command: 'ps', positionals: ['run-one'] })).toBe('invalid-input');
    expect(
      await check({ command: 'apply', configurationType: 'task', flags: { '--file': 'f.yml' }, positionals: ['args'] }),
    ).toBe('invalid-input');
    expect(await refusal({ command: 'stop', flags: { '--yes': true } })).toContain('requires a name (run_name)');
  });
});

describe('commands that no tool reaches', () => {
  test.each([
    ['gateway update', { '--set-default': true }, 'my-gateway'],
    ['gateway update', { '--domain': 'example.test' }, 'my-gateway'],
    ['secret set', {}, 'my-secret'],
    ['secret get', {}, 'my-secret'],
    ['secret delete', { '--yes': true }, 'my-secret'],
    ['project add', {}, 'main'],
    ['project set-default', {}, 'main'],
    ['fleet create', {}, 'my-fleet'],
    ['server', {}, 'x'],
    ['init', {}, 'x'],
    ['login', {}, 'x'],
    ['destroy', { '--file': 'x.dstack.yml', '--yes': true }, 'x'],
    ['', {}, 'x'],
  ])('%s is never run, even if its flags are allowed', async (command, flags, name) => {
    const requests: CommandRequest[] = [
      { command, flags, positionals: [name] },
      { command, extraFlags: flags, positionals: [name] },
      { command },
    ];
    for (const request of requests) expect(await check(request, Object.keys(flags))).toBe('unknown-command');
    expect(RUNNABLE_COMMANDS).not.toContain(command);
  });
});

describe('any request', () => {
  const pages = recordedPages('0.22.5');
  const documented = new Set(Object.values(pages).flatMap((text) => text.match(/--[a-z][a-z-]+/g) ?? []));
  const nasty = fc.constantFrom(
    '--yes',
    '-y',
    '-yd',
    '--ye',
    '--file=x',
    '-',
    '--',
    '',
    'a\nb',
    '\u202e',
    '$(id)',
    'a b',
    '--watch',
    'my-run',
  );
  const word = fc.oneof(nasty, fc.string({ unit: codePoint, maxLength: 20 }), fc.constantFrom(...documented));
  const value = fc.oneof(
    fc.constant(true),
    word,
    fc.double(),
    fc.array(fc.oneof(word, fc.integer()), { maxLength: 3 }),
    fc.anything(),
  );
  const request = fc.record({
    command: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...RUNNABLE_COMMANDS) }, { weight: 1, arbitrary: word }),
    extraFlags: fc.dictionary(word, value, { maxKeys: 4 }),
    positionals: fc.array(word, { maxLength: 2 }),
  });

  const reserved = new Set(['--yes', '--detach', '--file', '--watch', '--help', '--token', '--ssh-identity']);

  test('an argv contains only the command, documented long flags for models, and values that are not flags', async () => {
    let passed = 0;
    await fc.assert(
      fc.asyncProperty(request, async (asked) => {
        const argv = await checkArgv(asked, catalog).catch((error: unknown) => {
          if (error instanceof ToolError) return undefined;
          throw error;
        });
        if (argv === undefined) return;
        passed++;
        const words = asked.command.split(' ');
        expect(argv.argv.slice(0, words.length)).toEqual(words);
        const flags = argv.argv.filter((one) => one.startsWith('-'));
        expect(flags.filter((one) => !documented.has(one) || !Object.hasOwn(asked.extraFlags, one))).toEqual([]);
        expect(argv.argv.filter((one) => /\p{Cc}|\p{Cf}|^-[^-]|[$`;|&<>]/u.test(one))).toEqual([]);
        expect(flags.filter((one) => reserved.has(one))).toEqual([]);
        expect(argv.effect === 'read' || asked.command === 'attach').toBe(true);
      }),
      { numRuns: propertyRuns(1_000) },
    );
    expect(passed).toBeGreaterThan(0);
  });
});

describe('help pages', () => {
  test('the argv only requests help', () => {
    expect(checkHelpArgv('run get').argv).toEqual(['run', 'get', '--help']);
    expect(checkHelpArgv('').argv).toEqual(['--help']);
    expect(checkHelpArgv('apply', 'dev-environment').argv).toEqual(['apply', '-h', 'dev-environment']);
    expect(checkHelpArgv('server').effect).toBe('read');
  });

  test.each(['--version', 'ps -w', 'a b c d', 'ps;ls', 'logs my_run', 'x\n', '../x'])(
    '%j is not accepted as a command',
    (command) => {
      expect(() => checkHelpArgv(command)).toThrow(ToolError);
      expect(() => checkHelpArgv('apply', command)).toThrow(ToolError);
    },
  );
});
