import { execa } from 'execa';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseHelp } from '../../../src/dstack/catalog/help-pages.ts';
import type { HelpPage } from '../../../src/dstack/argv/command.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { describeParsers, installedDstack } from '../../support/installed-dstack.ts';
import type { TruePage } from '../../support/installed-dstack.ts';
import { recordedPages } from '../../support/recorded-catalog.ts';
import { sample } from '../../support/effort.ts';

const flagOf = (page: HelpPage, long: string) => page.flags.find((flag) => flag.long === long);

/** Returns the groups of mutually exclusive flags, without their numbers. */
function partition(pairs: readonly (readonly [string, number | null | undefined])[]): string[] {
  const groups = new Map<number, string[]>();
  for (const [long, group] of pairs)
    if (typeof group === 'number') groups.set(group, [...(groups.get(group) ?? []), long]);
  return [...groups.values()].map((longs) => longs.join(' | ')).sort();
}

const byLong = (a: { long: string }, b: { long: string }): number => a.long.localeCompare(b.long, 'en');

const asTruth = (page: HelpPage) => ({
  // By name: a help page sorts the flags by the groups of its sections.
  flags: page.flags
    .map((flag) => ({
      long: flag.long,
      aliases: flag.aliases,
      short: flag.short ?? null,
      takes: flag.value === 'none' ? 'none' : flag.value.optional ? 'optional' : 'one',
      choices: flag.choices ?? null,
      required: flag.required,
    }))
    .sort(byLong),
  positionals: page.positionals.map(({ name, required, many, choices }) => ({
    name,
    required,
    many,
    choices: choices ?? null,
  })),
  subcommands: page.subcommands.map(({ name, aliases }) => ({ name, aliases })),
});

const ofTruth = ({ flags, positionals, subcommands }: TruePage) => ({
  flags: flags
    .filter((flag) => !flag.hidden)
    .map(({ long, aliases, short, takes, choices, required }) => ({ long, aliases, short, takes, choices, required }))
    .sort(byLong),
  positionals,
  subcommands,
});

function mapPages<T>(pages: Record<string, TruePage>, to: (page: TruePage) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(pages).map(([key, page]) => [key, to(page)]));
}

describe('compared with the parsers of the installed dstack', () => {
  let wide: Record<string, TruePage>;
  let narrow: Record<string, TruePage>;
  beforeAll(async () => {
    [wide = {}, narrow = {}] = await describeParsers(1000, 80);
  });

  test('each page of each command is parsed to what argparse knows', () => {
    expect(Object.keys(wide).length).toBeGreaterThan(40);
    expect(mapPages(wide, (page) => asTruth(parseHelp(page.text)))).toEqual(mapPages(wide, ofTruth));
  });

  test('a page for a narrow terminal is parsed to the same', () => {
    expect(mapPages(narrow, (page) => asTruth(parseHelp(page.text)))).toEqual(mapPages(narrow, ofTruth));
  });

  test('mutually exclusive flags are found, except for those that share a group with a positional', () => {
    // argparse omits the bars if a positional belongs to the group: dstack then rejects the flags itself.
    const { 'run get': _run, 'fleet get': _fleet, 'preset delete': _preset, ...pages } = wide;
    const found = mapPages(pages, (page) =>
      partition(parseHelp(page.text).flags.map((flag) => [flag.long, flag.exclusiveGroup])),
    );
    expect(found).toEqual(mapPages(pages, (page) => partition(page.flags.map((flag) => [flag.long, flag.group]))));
  });

  test('no flag is wrongly treated as repeatable, and only --port of apply is missed', () => {
    const pairs = Object.entries(wide).flatMap(([key, truth]) => {
      const page = parseHelp(truth.text);
      const shown = truth.flags.filter(({ hidden }) => !hidden);
      return shown.map((flag) => ({
        name: `${key} ${flag.long}`,
        found: flagOf(page, flag.long)?.repeatable,
        is: flag.repeatable,
      }));
    });
    const wrong = pairs.filter(({ found, is }) => found !== is).map(({ name, found }) => `${name}: ${String(found)}`);
    expect(wrong.sort()).toEqual(['apply -h dev-environment --port: false', 'apply -h task --port: false']);
    expect(pairs.filter(({ is }) => is).length).toBeGreaterThan(20);
  });

  test('the output of a command in a process is parsed to the same', async () => {
    for (const command of sample(['apply -h service', 'volume delete --help', 'offer --help'], 1)) {
      const argv = command.split(' ');
      const { stdout } = await execa(installedDstack, argv, { env: { COLUMNS: '1000', NO_COLOR: '1', TERM: 'dumb' } });
      const key = argv.filter((word) => word !== '--help').join(' ');
      expect(parseHelp(stdout), command).toEqual(parseHelp(wide[key]?.text ?? ''));
    }
  });
});

describe('recorded pages', () => {
  const pages = recordedPages('0.22.5');
  const page = (key: string) => parseHelp(pages[key] ?? '');

  test('a flag without a help text is a flag, not the end of the one before', () => {
    expect(page('stop').flags.map((flag) => flag.long)).toEqual(['--help', '--project', '--abort', '--yes']);
    expect(flagOf(page('offer'), '--spot-policy')?.help).toBe('One of spot, on-demand, auto');
    expect(flagOf(page('offer'), '--no-retry')?.help).toBe('');
  });

  test('a metavar that contains brackets is one word', () => {
    expect(flagOf(page('apply -h task'), '--env')?.value).toEqual({ metavar: 'KEY[=VALUE]', optional: false });
    expect(flagOf(page('apply'), '--help')?.value).toEqual({ metavar: 'TYPE', optional: true });
  });

  test('a switch before a positional has no value', () => {
    expect(flagOf(page('volume get'), '--json')).toMatchObject({ value: 'none', required: true });
    expect(page('volume get').positionals).toMatchObject([{ name: 'NAME', required: true }]);
  });

  test('a command with an alias is listed by its name', () => {
    expect(page('').subcommands).toContainEqual({ name: 'delete', aliases: ['destroy'], help: 'Delete resources' });
  });

  test('the program contains the command, so that a page of another command is detected', () => {
    expect(page('run get').program).toBe('dstack run get');
    expect(page('completion').program).toBe('dstack completion');
  });
});

test('the format of older Python versions, with the value after each name, is parsed to the same', () => {
  const text = `usage: dstack login [-h] --url URL [-p PROVIDER] (--a | --b) [rest ...]

positional arguments:
  rest                  more

options:
  -h, --help            show this help message and exit
  --url URL             The server URL
  -p PROVIDER, --provider PROVIDER
                        The SSO provider
  --a
  --b, --bee            other
`;
  const page = parseHelp(text);
  expect(flagOf(page, '--provider')).toEqual({
    long: '--provider',
    short: '-p',
    aliases: [],
    value: { metavar: 'PROVIDER', optional: false },
    repeatable: false,
    required: false,
    help: 'The SSO provider',
  });
  expect(flagOf(page, '--url')?.required).toBe(true);
  expect(flagOf(page, '--b')).toMatchObject({ aliases: ['--bee'], required: false, exclusiveGroup: 0 });
  expect(page.positionals).toEqual([{ name: 'rest', required: false, many: true, help: 'more' }]);
});

test.each(['', 'Traceback (most recent call last):\n  ...\nImportError: x', 'zsh: command not found: dstack'])(
  'text that is not a help page is rejected: %j',
  (text) => {
    expect(() => parseHelp(text)).toThrow(ToolError);
  },
);
