import { realpathSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { fixture } from './paths.ts';

/** The dstack under test: the pinned one that the setup installs, or the one that the environment names. */
export const installedDstack = path.resolve(process.env['DSTACK_TEST_CLI'] ?? '.cache/python/bin/dstack');
export const installedPython = path.join(
  path.dirname(realpathSync(installedDstack)),
  process.platform === 'win32' ? 'python.exe' : 'python3',
);

export interface TrueFlag {
  readonly long: string;
  readonly aliases: readonly string[];
  readonly short: string | null;
  readonly takes: 'none' | 'one' | 'optional';
  readonly repeatable: boolean;
  readonly choices: readonly string[] | null;
  readonly required: boolean;
  readonly group: number | null;
  readonly hidden: boolean;
}

export interface TruePage {
  readonly text: string;
  readonly flags: readonly TrueFlag[];
  readonly positionals: readonly unknown[];
  readonly subcommands: readonly unknown[];
}

/** Describes the installed dstack's own parsers, with each help page printed for these widths. */
export async function describeParsers(...columns: readonly number[]): Promise<readonly Record<string, TruePage>[]> {
  const script = fixture('python', 'describe_parser.py');
  const env = { NO_COLOR: '1', TERM: 'dumb' };
  const { stdout } = await execa(installedPython, ['-B', script, ...columns.map(String)], { env, timeout: 60_000 });
  const pages: Record<string, TruePage>[] = JSON.parse(stdout);
  return pages;
}
