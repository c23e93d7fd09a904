import path from 'node:path';
import type { Disclosure } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import { isRecord } from '../core/values.ts';
import type { Cli } from '../dstack/dstack-cli.ts';
import type { IsAgreed } from '../safety/consent/remembered-consents.ts';
import type { Workspace, WorkspacePath } from '../safety/files/workspace.ts';
import type { EnvFilesMode } from '../settings/settings.ts';
import { parseEnvFile } from './parse-env-file.ts';
import type { EnvFile } from './parse-env-file.ts';
import { decodeText } from './configuration-text.ts';
import type { ConfigurationHead } from './read-configuration.ts';

/** Values from env files for the variables that a configuration names. */
interface NamedValues {
  /** Only for the environment of the child process. */
  readonly values: Readonly<Record<string, string>>;
  /** SHA-256 of each file by path, or `absent` if it doesn't exist. */
  readonly files: Readonly<Record<string, string>>;
  /** The source of each variable, as in `HF_TOKEN from .envrc`. */
  readonly given: readonly string[];
  /** Skipped entries with the reason: names, never values. */
  readonly skipped: readonly string[];
}

/** The env files next to configurations. `ask`: their values are used only with consent. */
export interface EnvFiles {
  readonly mode: EnvFilesMode;
  /** Returns the values of the named variables from the folder's `.env` and `.envrc`; `.envrc` takes precedence. */
  readFor(folder: string, names: readonly string[]): Promise<NamedValues>;
  /** Returns the same in the mode `ask`, for values that need consent before they are used. */
  findFor(folder: string, names: readonly string[]): Promise<NamedValues>;
  /** Masks these values in every output from now on. */
  learn(secrets: Iterable<string>): void;
  /** Masks the current values of the env files in the workspace's folders and in all folders read before. */
  mask(): Promise<void>;
}

interface EnvFilesOptions {
  readonly mode: EnvFilesMode;
  readonly workspace: Pick<Workspace, 'folders' | 'readEnvFile'>;
  /** Masks these values in every output from now on. */
  readonly learn: (secrets: Iterable<string>) => void;
}

/** Later files take precedence. */
const NAMES = ['.env', '.envrc'] as const;

/** Variables that would affect dstack itself, or the programs it starts, instead of the run. */
const AFFECTS_DSTACK =
  /^(?:(?:LD|DYLD|DSTACK|GIT|SSH|SSL|OPENSSL|CURL|REQUESTS|LC|MALLOC|GLIBC|XDG|COMP|TTY)_\w*|_\w*|SSLKEYLOGFILE|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|GCONV_PATH|LOCPATH|NLSPATH|TERMINFO\w*|TZDIR|PYTHON\w*|\w*_PROXY|PATH|PATHEXT|HOME|USERPROFILE|(?:LOCAL)?APPDATA|SYSTEMROOT|COMSPEC|USER|LOGNAME|SHELL|ENV|BASH_ENV|IFS|LANG|LANGUAGE|TMP|TEMP|TMPDIR|TERM|COLUMNS|LINES|NO_COLOR|NETRC|PAGER|EDITOR|VISUAL|BROWSER|DISPLAY)$/i;

/** Creates the only reader of env files. Their values are passed to child processes only. */
export function createEnvFiles({ mode, workspace, learn }: EnvFilesOptions): EnvFiles {
  const folders = new Set(mode === 'on' ? workspace.folders : []);

  const readFile = async (file: string): Promise<{ readonly sha256: string; readonly parsed: EnvFile } | undefined> => {
    try {
      const { bytes, sha256 } = await workspace.readEnvFile(file);
      const parsed = parseEnvFile(decodeText(bytes, file));
      learn(parsed.values.values());
      return { sha256, parsed };
    } catch (error) {
      if (error instanceof ToolError && error.code === 'file-not-found') return undefined;
      throw error;
    }
  };

  const readIn = async (wanted: EnvFilesMode, folder: string, names: readonly string[]): Promise<NamedValues> => {
    if (mode !== wanted || names.length === 0) return { values: {}, files: {}, given: [], skipped: [] };
    folders.add(folder);
    const files: Record<string, string> = {};
    const found: FoundFile[] = [];
    for (const from of NAMES) {
      const file = path.join(folder, from);
      const read = await readFile(file);
      files[file] = read?.sha256 ?? 'absent';
      if (read !== undefined) found.push({ from, parsed: read.parsed });
    }
    return { files, ...takeNamed(found, names) };
  };

  return {
    mode,
    learn,
    readFor: (folder, names) => readIn('on', folder, names),
    findFor: (folder, names) => readIn('ask', folder, names),
    async mask() {
      const all = [...folders].flatMap((folder) => NAMES.map((name) => path.join(folder, name)));
      // No value of an unreadable file is used, so there is nothing to mask.
      await Promise.all(all.map((file) => readFile(file).catch(() => undefined)));
    },
  };
}

interface FoundFile {
  readonly from: string;
  readonly parsed: EnvFile;
}

function takeNamed(found: readonly FoundFile[], names: readonly string[]): Omit<NamedValues, 'files'> {
  const values = new Map<string, { readonly value: string; readonly from: string }>();
  const skipped = new Map<string, string>();
  for (const { from, parsed } of found) {
    for (const [key, entry] of entriesOf(parsed, names, from)) {
      // A later file overrides an earlier one even if its entry is skipped.
      values.delete(key);
      skipped.delete(key);
      if ('value' in entry) values.set(key, { value: entry.value, from });
      else skipped.set(key, `${entry.name} in ${from}: ${entry.why}`);
    }
  }
  const given = names.filter((name) => values.has(name));
  return {
    values: Object.fromEntries(given.map((name) => [name, values.get(name)?.value ?? ''])),
    given: given.map((name) => `${name} from ${values.get(name)?.from}`),
    skipped: [...skipped.values()],
  };
}

type Entry = { readonly value: string } | { readonly name: string; readonly why: string };

/** Returns a file's entries for the wanted variables, and its skipped lines that may set any of them. */
function entriesOf(
  { values, skipped }: EnvFile,
  wanted: readonly string[],
  from: string,
): [key: string, entry: Entry][] {
  const assigned = wanted
    .filter((name) => values.has(name))
    .map((name): [string, Entry] => [
      name,
      AFFECTS_DSTACK.test(name) ? { name, why: 'it would affect dstack itself' } : { value: values.get(name) ?? '' },
    ]);
  const others = skipped
    .filter(({ name, isVariable }) => !isVariable || wanted.includes(name))
    .map(({ name, line, why, isVariable }): [string, Entry] => [
      // A key that can't be the name of a variable or a line of the other file.
      isVariable ? name : `${from}:${line}`,
      { name: `${name} (line ${line})`, why },
    ]);
  return [...assigned, ...others];
}

/** Values for the variables that a configuration names without a value. */
export interface NamedEnvironment extends NamedValues {
  /** Variables that aren't set anywhere: dstack would fail on the first of them. */
  readonly unset: readonly string[];
  /** Variables whose values dstack takes from its own environment, which is this server's. */
  readonly inherited: readonly string[];
}

/** Sources of variables. */
export interface VariableSources {
  readonly envFiles: EnvFiles;
  cli(): Promise<Pick<Cli, 'env'>>;
}

/** Variables whose values are part of ordinary output, such as paths. */
const NO_SECRETS =
  /^(?:PATH|HOME|USERPROFILE|PWD|OLDPWD|TMP|TEMP|TMPDIR|USER|LOGNAME|HOSTNAME|SHELL|LANG|LANGUAGE|LC_\w*|TZ|TERM|EDITOR|VISUAL|PAGER|DISPLAY|XDG_\w*)$/i;

/**
 * Looks up the named variables, first in the env files of a folder, then in the environment of dstack. Their values are masked from then
 * on: the job may print them.
 */
export async function readNamedEnvironment(
  sources: VariableSources,
  folder: string | undefined,
  names: readonly string[],
): Promise<NamedEnvironment> {
  const { env } = await sources.cli();
  const found =
    folder === undefined
      ? { values: {}, files: {}, given: [], skipped: [] }
      : await sources.envFiles.readFor(folder, names);
  const others = names.filter((name) => found.values[name] === undefined);
  sources.envFiles.learn(others.filter((name) => !NO_SECRETS.test(name)).flatMap((name) => env[name] ?? []));
  return {
    ...found,
    unset: others.filter((name) => env[name] === undefined),
    inherited: others.filter((name) => env[name] !== undefined),
  };
}

/** Returns the environment for a plan of the file: for the variables that it names, and those in `--env NAME`. */
export function environmentFor(
  sources: VariableSources,
  file: WorkspacePath,
  { head, extraFlags }: { head: ConfigurationHead; extraFlags: Readonly<Record<string, unknown>> | undefined },
): Promise<NamedEnvironment> {
  return readNamedEnvironment(sources, path.dirname(file.realPath), variablesOf(head.value, extraFlags?.['--env']));
}

/** Excludes the variables that `--env NAME=value` sets. */
function variablesOf(value: unknown, flag: unknown): readonly string[] {
  const flags = (Array.isArray(flag) ? flag : [flag]).filter((one) => typeof one === 'string');
  const given = new Set(flags.filter((one) => one.includes('=')).map((one) => one.split('=', 1)[0]));
  const named = [...namedVariables(value), ...flags.filter((one) => !one.includes('='))];
  return [...new Set(named)].filter((name) => !given.has(name));
}

/** Adds the names of all unset variables to dstack's error, which reports only the first one. */
export function explainUnsetVariables(
  { report }: CommandFailed,
  { unset, skipped }: NamedEnvironment,
  { mode }: EnvFiles,
): CommandFailed {
  const { code } = report.facts;
  if (code !== 'missing-variable' || unset.length === 0) return new CommandFailed(report);
  const all = `The configuration names ${unset.length === 1 ? "a variable that isn't" : "variables that aren't"} set: ${unset.join(', ')}.`;
  return new CommandFailed({
    ...report,
    summary: [report.summary, all, ...skipped.map((what) => `Skipped: ${what}.`)].join(' '),
    next: `${report.next ?? ''}${mode === 'off' ? '' : " Or the user writes it to an `.envrc` next to the file, which plan finds. Don't ask for the value."}`,
  });
}

/** Returns the variables that a configuration names without a value; dstack takes their values from its own environment. */
export function namedVariables(value: unknown): readonly string[] {
  if (!isRecord(value)) return [];
  const { env } = value;
  if (Array.isArray(env)) return env.filter((item) => typeof item === 'string' && /^\w+$/.test(item)).map(String);
  if (!isRecord(env)) return [];
  // dstack takes the value of `NAME: {key: OTHER}` from the variable OTHER (core/models/envs.py).
  return Object.entries(env).flatMap(([name, given]) =>
    given === null ? [name] : isRecord(given) && typeof given['key'] === 'string' ? [given['key']] : [],
  );
}

/** Sources of the consent to use an env file. */
interface EnvFileScope {
  readonly envFiles: EnvFiles;
  readonly isAgreed: IsAgreed;
  /** The dstack server that the values go to. */
  readonly server: string;
}

/**
 * Looks for variables that aren't set in the env files next to a configuration. Takes the values that somebody agreed to use, and
 * returns what needs consent for the others: by name and file, never by value.
 */
export async function agreeOnEnvFiles(
  { envFiles, isAgreed, server }: EnvFileScope,
  folder: string,
  environment: NamedEnvironment,
): Promise<{ readonly environment: NamedEnvironment; readonly open: readonly Disclosure[] }> {
  const { unset } = environment;
  const found = await envFiles.findFor(folder, unset);
  const offers = found.given.map((one) => {
    const [name = '', from = ''] = one.split(' from ');
    return { name, one, disclosure: disclose({ name, from, folder, server }) };
  });
  const covered = await Promise.all(offers.map(({ disclosure }) => isAgreed(disclosure)));
  const agreed = offers.filter((_offer, index) => covered[index] === true);
  const taken = new Set(agreed.map(({ name }) => name));
  const values = Object.entries(found.values).filter(([name]) => taken.has(name));
  return {
    environment: {
      ...environment,
      values: { ...environment.values, ...Object.fromEntries(values) },
      // Files whose values aren't used decide nothing.
      files: { ...environment.files, ...(taken.size === 0 ? {} : found.files) },
      given: [...environment.given, ...agreed.map(({ one }) => one)],
      skipped: [...environment.skipped, ...found.skipped],
      unset: unset.filter((name) => !taken.has(name)),
    },
    open: offers.filter(({ name }) => !taken.has(name)).map(({ disclosure }) => disclosure),
  };
}

interface Offer {
  readonly name: string;
  readonly from: string;
  readonly folder: string;
  readonly server: string;
}

const disclose = ({ name, from, folder, server }: Offer): Disclosure => ({
  kind: 'env-file',
  subject: `${path.join(folder, from)}: ${name}`,
  action: `read the value of ${name} from the ${from} next to it, and send it to the dstack server ${server}`,
  credentials: [],
});
