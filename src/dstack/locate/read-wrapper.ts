import path from 'node:path';

/** The contents of an executable, as far as it leads to a Python script. */
export type Wrapper =
  /** A Python script. The interpreter is a path, or a name that is looked up in PATH. */
  | { readonly kind: 'python'; readonly interpreter: string }
  /** A shell script that ends in running a program. */
  | { readonly kind: 'exec'; readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> }
  /** A shim: the tool chooses among the installed versions. */
  | { readonly kind: 'shim'; readonly tool: 'pyenv' | 'asdf'; readonly versions: readonly string[] }
  | { readonly kind: 'other'; readonly why: string };

const other = (why: string): Wrapper => ({ kind: 'other', why });

const PYTHON = /^(?:python|pypy)[\d.]*(?:\.exe)?$/;

export const isPython = (file: string): boolean => PYTHON.test(path.basename(file));

/** Reads what an executable file leads to, from its text. Nothing is run: what isn't certain is `other`. */
export function readWrapper(text: string, env: Readonly<Record<string, string | undefined>>): Wrapper {
  const interpreter = interpreterNamedIn(text);
  if (interpreter !== undefined && isPython(interpreter)) return { kind: 'python', interpreter };
  if (/^#!.*python/.test(text)) return other('it starts Python with options');
  if (!text.startsWith('#!')) return other('it is a program, not a script');
  if (!/^#! ?\S*(?:\/|\benv )(?:ba|da|z|k)?sh\b/.test(text)) return other('it is a script in another language');
  return readShim(text) ?? readShellWrapper(text, env);
}

/** Parses the interpreter from a script: `#!/path/python`, `#!/usr/bin/env python3`, or the forms that installers use for long paths. */
export function interpreterNamedIn(text: string): string | undefined {
  const [first = '', second = ''] = text.split(/\r?\n/, 2);
  // pip writes double quotes, uv single ones.
  const viaShell = /^'''exec' (?:"([^"$`]+)"|'([^']+)'|([^\s'"$`]+)) "\$0" "\$@"$/.exec(second);
  if (/^#! ?\/bin\/sh$/.test(first) && viaShell !== null) return viaShell[1] ?? viaShell[2] ?? viaShell[3];
  const viaEnv = /^#! ?\/usr\/bin\/env (?:-S )?([\w.]+)$/.exec(first);
  if (viaEnv !== null) return viaEnv[1];
  // Options of the interpreter (`-I`) would be lost, so such a script is only run directly.
  return /^#! ?(\/\S+)$/.exec(first)?.[1];
}

function readShim(text: string): Wrapper | undefined {
  if (/^exec "[^"\n]*pyenv" exec "\$program" "\$@"$/m.test(text)) return { kind: 'shim', tool: 'pyenv', versions: [] };
  if (!/^exec \S*asdf exec "?dstack"? "\$@"/m.test(text)) return undefined;
  const versions = [...text.matchAll(/^# asdf-plugin: python (\S+)$/gm)].map(([, version = '']) => version);
  return { kind: 'shim', tool: 'asdf', versions };
}

/** Reads a shell script that only sets variables to literals and ends in `exec`, as Nix and people write them. */
function readShellWrapper(text: string, outer: Readonly<Record<string, string | undefined>>): Wrapper {
  const env: Record<string, string> = {};
  const lines = text
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#') && !/^set -[eux]+$/.test(line));
  const last = lines.pop() ?? '';
  for (const line of lines) {
    const folders = nixFolders(line);
    const [name, value] = readAssignment(line, outer) ?? [];
    if (folders !== undefined) env['PATH'] = [...folders, env['PATH'] ?? outer['PATH'] ?? ''].filter(Boolean).join(':');
    else if (name !== undefined && value !== undefined) env[name] = value;
    else if (!/^export \w+$/.test(line)) return other('it is a shell script that does more than start Python');
  }
  const argv = readExec(last, outer);
  return argv === undefined
    ? other("it is a shell script that doesn't end in `exec python script`")
    : { kind: 'exec', argv, env };
}

/** Returns the folders that a line of a Nix wrapper puts in front of PATH; none if the line only prepares or cleans up. */
function nixFolders(line: string): readonly string[] | undefined {
  if (!/^PATH=(?:\$\{PATH[:/#%]|'\/nix\/store\/[^']+'\$PATH$)/.test(line)) return undefined;
  return [...line.matchAll(/^PATH='(\/nix\/store\/[^']+)'\$PATH$/g)].map(([, folder = '']) => folder);
}

function readAssignment(
  line: string,
  outer: Readonly<Record<string, string | undefined>>,
): readonly [string, string] | undefined {
  const [, name = '', text = ''] = /^(?:export )?([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
  const words = readWords(text, outer);
  // A search path would have to be extended, not replaced; only the form that Nix writes is understood.
  return name === '' || name === 'PATH' || words === undefined || words.length > 1 ? undefined : [name, words[0] ?? ''];
}

/** Returns the words after `exec`, without the arguments that are handed on. */
function readExec(line: string, outer: Readonly<Record<string, string | undefined>>): readonly string[] | undefined {
  const [, text] = /^exec (?:-a "\$0" )?(.+?) (?:"\$@"|\$\{1\+"\$@"\})$/.exec(line) ?? [];
  const words = text === undefined ? undefined : readWords(text, outer);
  return words?.[0] !== undefined && path.isAbsolute(words[0]) ? words : undefined;
}

const WORD = /\s*((?:'[^']*'|"[^"]*"|[^\s'"]+)+)/gy;

/** Splits literal shell words. Of expansions, only `$HOME` is understood; undefined for any other. */
function readWords(text: string, { HOME }: Readonly<Record<string, string | undefined>>): string[] | undefined {
  const words: string[] = [];
  let end = 0;
  for (const match of text.matchAll(WORD)) {
    const word = (match[1] ?? '').replaceAll(/'([^']*)'|"([^"]*)"|([^'"]+)/g, (_, single, double, bare) =>
      single === undefined ? expandHome(double ?? bare, HOME) : String(single),
    );
    if (word.includes('\0')) return undefined;
    words.push(word);
    end = match.index + match[0].length;
  }
  return text.slice(end).trim() === '' ? words : undefined;
}

/** Replaces `$HOME`; marks everything else that a shell would interpret with a null character, which no text has. */
const expandHome = (text: string, home: string | undefined): string =>
  text.replaceAll(/\$HOME\b|\$\{HOME\}/g, home ?? '\0').replaceAll(/[$`\\;&|<>(){}*?[\]!#~]/g, '\0');
