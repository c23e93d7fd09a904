import { describe, expect, test } from 'vitest';
import { readCommandLine } from '../../../src/bin/command-line.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { ALL_SETTINGS, readSettings } from '../../../src/settings/settings.ts';

/** Reads a command line that has settings, with an environment below it. */
function settingsOf(words: string, env: NodeJS.ProcessEnv = {}) {
  const line = readCommandLine(words === '' ? [] : words.split(' '));
  if (!('settings' in line)) throw new Error(`no settings: ${line.command}`);
  return readSettings(line.settings, env);
}

function caught(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('help', () => {
  const help = (...argv: string[]): string => {
    const line = readCommandLine(argv);
    return line.command === 'print' ? line.text : '';
  };

  test.each([
    ['setup', ['[client]', '--dry-run', '--undo', 'see dstack-mcp --help']],
    ['doctor', ['--json', '--verbose', 'see dstack-mcp --help']],
    ['sandbox', ['--help', 'setup <client> --sandbox', '268 MB', 'remove /']],
    ['demo', ['--help', '268 MB', 'remove /']],
  ])('%s --help prints the help of that command', (name, options) => {
    expect(help(name, '--help')).toContain(`Usage: dstack-mcp ${name} `);
    for (const option of options) expect(help(name, '--help')).toContain(option);
    expect(help('--help')).toMatch(new RegExp(`^  ${name} `, 'm'));
    expect(help('help', name)).toBe(help(name, '--help'));
  });

  test('the settings are listed once, in the help of the program', () => {
    expect(help('help')).toBe(help('--help'));
    for (const name of ['setup', 'doctor']) expect(help(name, '--help')).not.toContain('DSTACK_MCP_');
  });

  test('it and every error name the command as it works from here', () => {
    const name = 'node dist/dstack-mcp.mjs';
    const line = readCommandLine(['sandbox', '--help'], name);
    expect(line.command === 'print' && line.text).toContain(`${name} setup <client> --sandbox`);
    expect(caught(() => readCommandLine(['setup'], name))).toMatchObject({
      hint: expect.stringContaining(`Run ${name} setup`),
    });
    expect(caught(() => readCommandLine(['docter'], name))).toMatchObject({
      hint: expect.stringContaining(`${name} --help`),
    });
  });

  test('every setting is listed with its environment variable and default', () => {
    const text = help('--help').replaceAll(/\s+/g, ' ');
    for (const setting of ALL_SETTINGS) {
      expect(text).toContain(`${setting.option} ${setting.value}`);
      expect(text).toContain(`(default: ${setting.default}; env: ${setting.env})`);
    }
  });

  test('the version is printed', () => {
    expect(help('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(help('-v')).toBe(help('--version'));
  });
});

describe('settings', () => {
  test.each(ALL_SETTINGS)('$option and $env set the same', ({ option, value, env }) => {
    const text = { '<who>': 'person', '<mode>': 'off', '<level>': 'info', '<prefix>': 'dstack_' }[value] ?? '7';
    for (const given of /^\[(.+)\]$/.exec(value)?.[1]?.split('|') ?? [text]) {
      expect(settingsOf(`${option} ${given}`)).toEqual(settingsOf('', { [env]: given }));
      expect(settingsOf(`${option}=${given}`)).toEqual(settingsOf('', { [env]: given }));
    }
  });

  test('an option takes precedence over its variable', () => {
    expect(settingsOf('--confirm token', { DSTACK_MCP_CONFIRM: 'person' }).confirm).toBe('token');
  });

  test('a switch without a value is on, whatever follows it', () => {
    expect(settingsOf('--read-only').readOnly).toBe(true);
    expect(settingsOf('--read-only --warm off')).toMatchObject({ readOnly: true, warm: 'off' });
    expect(settingsOf('--read-only doctor').readOnly).toBe(true);
    expect(settingsOf('--read-only off').readOnly).toBe(false);
    expect(readCommandLine(['setup', '--read-only', 'cursor'])).toMatchObject({
      order: { client: { id: 'cursor' }, settings: { DSTACK_MCP_READ_ONLY: 'on' } },
    });
  });

  test('an option counts before and after the name of the command', () => {
    expect(settingsOf('--project one doctor').project).toBe('one');
    expect(settingsOf('doctor --project one').project).toBe('one');
  });

  test('an invalid value is refused by the name that was used', () => {
    expect(caught(() => settingsOf('--confirm nobody'))).toMatchObject({
      message: expect.stringContaining('--confirm is "nobody"'),
    });
    expect(caught(() => settingsOf('', { DSTACK_MCP_CONFIRM: 'nobody' }))).toMatchObject({
      message: expect.stringContaining('DSTACK_MCP_CONFIRM is "nobody"'),
    });
  });
});

test.each([
  ['--projct x', "Unknown option '--projct'.", /^Did you mean --project\? See dstack-mcp --help\.$/],
  ['doctor --jsn', "Unknown option '--jsn'.", /^Did you mean --json\? See dstack-mcp doctor --help\.$/],
  ['sandbox --project x', "Unknown option '--project'.", /^See dstack-mcp sandbox --help\.$/],
  ['docter', 'Unknown command: docter.', /^Did you mean doctor\? See dstack-mcp --help\.$/],
  ['setup clade', 'Unknown client: clade. Nothing was changed.', /^Did you mean claude-desktop, claude-code or cline/],
  ['setup claude', 'Unknown client: claude. ', /^Did you mean claude-desktop or claude-code\?/],
  ['setup nothing', 'Unknown client: nothing. ', /^Run dstack-mcp setup <client>, with one of: /],
  ['doctor now', 'Too many arguments', /^See dstack-mcp doctor --help\.$/],
  ['--confirm', "Option '--confirm <who>' argument missing.", /^See dstack-mcp --help\.$/],
])('`%s` is refused with a suggestion', (words, message, hint) => {
  const error = caught(() => readCommandLine(words.split(' ')));
  expect(error).toBeInstanceOf(ToolError);
  expect(error).toMatchObject({ message: expect.stringContaining(message), hint: expect.stringMatching(hint) });
});
