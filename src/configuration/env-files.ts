import path from 'node:path';
import { decodeText } from './parse-text.ts';
import { parseEnvFile } from './parse-env-file.ts';
import type { EnvFile } from './parse-env-file.ts';
import { ToolError } from '../core/errors.ts';
import type { Workspace } from '../safety/files/workspace.ts';

/** What env files give for the variables that a configuration names. */
export interface NamedValues {
  /** For the environment of the child process, and for nothing else. */
  readonly values: Readonly<Record<string, string>>;
  /** SHA-256 of each file that was looked for, by path; `absent` where there is none. */
  readonly files: Readonly<Record<string, string>>;
  /** Which variables come from which file, as in `HF_TOKEN from .envrc`. */
  readonly given: readonly string[];
  /** What was not taken, and why: names, never values. */
  readonly untaken: readonly string[];
}

/** The env files beside configurations, where the operator allows that they are read. */
export interface EnvFiles {
  readonly allowed: boolean;
  /** The values of the named variables from the folder's `.env` and, before that, its `.envrc`. */
  readFor(folder: string, names: readonly string[]): Promise<NamedValues>;
  /** Masks what the env files hold now: those of the workspace's own folders, and those that were read before. */
  mask(): Promise<void>;
}

export interface EnvFilesOptions {
  readonly allowed: boolean;
  readonly workspace: Pick<Workspace, 'folders' | 'readEnvFile'>;
  /** From now on these are masked in every output. */
  readonly learn: (secrets: Iterable<string>) => void;
}

/** The later one goes before the earlier one. */
const NAMES = ['.env', '.envrc'] as const;

/** Variables by which a file would steer dstack itself, or what dstack starts, instead of the run. */
const STEERING =
  /^(?:(?:LD|DYLD|DSTACK|GIT|SSH|SSL|OPENSSL|CURL|REQUESTS|LC|MALLOC|GLIBC|XDG)_\w*|PYTHON\w*|\w*_PROXY|PATH|PATHEXT|HOME|USERPROFILE|(?:LOCAL)?APPDATA|SYSTEMROOT|COMSPEC|USER|LOGNAME|SHELL|ENV|BASH_ENV|IFS|LANG|LANGUAGE|TMP|TEMP|TMPDIR|TERM|COLUMNS|LINES|NO_COLOR|NETRC|PAGER|EDITOR|VISUAL|BROWSER|DISPLAY)$/i;

/** Creates the one place that reads env files. Their values go to child processes alone. */
export function createEnvFiles({ allowed, workspace, learn }: EnvFilesOptions): EnvFiles {
  const folders = new Set(workspace.folders);

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

  return {
    allowed,
    async readFor(folder, names) {
      if (!allowed || names.length === 0) return { values: {}, files: {}, given: [], untaken: [] };
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
    },
    async mask() {
      if (!allowed) return;
      const all = [...folders].flatMap((folder) => NAMES.map((name) => path.join(folder, name)));
      // One that can't be read gives no value to anyone either.
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
  const untaken = new Map<string, string>();
  for (const { from, parsed } of found) {
    for (const [name, sight] of sightsOf(parsed, names, from)) {
      // What a later file says goes before an earlier one, also where it can't be taken.
      values.delete(name);
      untaken.delete(name);
      if ('value' in sight) values.set(name, { value: sight.value, from });
      else untaken.set(name, `${sight.name} in ${from}: ${sight.why}`);
    }
  }
  const given = names.filter((name) => values.has(name));
  return {
    values: Object.fromEntries(given.map((name) => [name, values.get(name)?.value ?? ''])),
    given: given.map((name) => `${name} from ${values.get(name)?.from}`),
    untaken: [...untaken.values()],
  };
}

type VariableSource = { readonly value: string } | { readonly name: string; readonly why: string };

/** What a file says of the variables that are wanted, and which of its lines may set any of them. */
function sightsOf(
  { values, untaken }: EnvFile,
  wanted: readonly string[],
  from: string,
): [name: string, sight: VariableSource][] {
  const taken = wanted
    .filter((name) => values.has(name))
    .map((name): [string, VariableSource] => [
      name,
      STEERING.test(name) ? { name, why: 'it would steer dstack itself' } : { value: values.get(name) ?? '' },
    ]);
  const others = untaken
    .filter(({ name, isVariable }) => !isVariable || wanted.includes(name))
    .map(({ name, line, why, isVariable }): [string, VariableSource] => [
      // A key that no variable has, and no line of another file.
      isVariable ? name : `${from}:${line}`,
      { name: `${name} (line ${line})`, why },
    ]);
  return [...taken, ...others];
}
