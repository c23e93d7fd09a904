import path from 'node:path';
import type { Cli } from '../dstack/dstack-cli.ts';
import { namedVariables } from './advise.ts';
import type { ConfigurationHead } from './read-configuration.ts';
import type { WorkspacePath } from '../safety/files/workspace.ts';
import { CommandFailed } from '../core/command-failed.ts';
import type { EnvFiles, NamedValues } from './env-files.ts';

/** What the variables that a configuration only names come to. */
export interface NamedEnvironment extends NamedValues {
  /** Those that nobody sets: dstack would stop at the first of them. */
  readonly unset: readonly string[];
}

/** Where variables come from. */
export interface VariableSources {
  readonly envFiles: EnvFiles;
  cli(): Promise<Pick<Cli, 'env'>>;
}

/** Looks for the named variables in the env files of a folder and in the environment of dstack, in this order. */
export async function readNamedEnvironment(
  sources: VariableSources,
  folder: string | undefined,
  names: readonly string[],
): Promise<NamedEnvironment> {
  const { env } = await sources.cli();
  const given =
    folder === undefined
      ? { values: {}, files: {}, given: [], untaken: [] }
      : await sources.envFiles.readFor(folder, names);
  return { ...given, unset: names.filter((name) => given.values[name] === undefined && env[name] === undefined) };
}

/** The environment for a plan of the file: of its own variables, and of those of `--env NAME`. */
export function environmentFor(
  sources: VariableSources,
  file: WorkspacePath,
  { head, extraFlags }: { head: ConfigurationHead; extraFlags: Readonly<Record<string, unknown>> | undefined },
): Promise<NamedEnvironment> {
  return readNamedEnvironment(sources, path.dirname(file.realPath), variablesOf(head.value, extraFlags?.['--env']));
}

/** Without those that `--env NAME=value` gives. */
function variablesOf(value: unknown, flag: unknown): readonly string[] {
  const flags = (Array.isArray(flag) ? flag : [flag]).filter((one) => typeof one === 'string');
  const given = new Set(flags.filter((one) => one.includes('=')).map((one) => one.split('=', 1)[0]));
  const named = [...namedVariables(value), ...flags.filter((one) => !one.includes('='))];
  return [...new Set(named)].filter((name) => !given.has(name));
}

/** dstack's refusal for a variable that isn't set, with all of those: it tells one at a time. */
export function explainUnsetVariables(
  { report }: CommandFailed,
  { unset, untaken }: NamedEnvironment,
  { allowed }: EnvFiles,
): CommandFailed {
  if (report.facts['code'] !== 'missing-variable' || unset.length === 0) return new CommandFailed(report);
  const all = `The configuration names ${unset.length === 1 ? 'a variable' : 'variables'} that nobody sets: ${unset.join(', ')}.`;
  return new CommandFailed({
    ...report,
    summary: [report.summary, all, ...untaken.map((what) => `Not taken: ${what}.`)].join(' '),
    next: `${report.next ?? ''}${allowed ? " An `.envrc` beside the file would be read as well. Don't ask for the values." : ''}`,
  });
}
