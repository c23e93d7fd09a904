/** An entry of an env file that was skipped: its name, its line, and the reason. Never a value. */
export interface SkippedEntry {
  readonly name: string;
  /** False for a line whose variables aren't known. */
  readonly isVariable: boolean;
  readonly line: number;
  readonly why: string;
}

/** The plain assignments in an env file. */
export interface EnvFile {
  readonly values: ReadonlyMap<string, string>;
  readonly skipped: readonly SkippedEntry[];
}

type Value = { readonly kind: 'plain'; readonly value: string; readonly end: number };
type Refusal = { readonly kind: 'refused'; readonly why: string };
type Piece = Value | Refusal;

const BLANK = /[ \t]*(?:#[^\n]*)?(?:\n|$)/y;
const ASSIGNMENT = /[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)(\+?=)/y;
/** Common commands in env files. Other words are never shown: they may be part of a secret. */
const COMMAND =
  /^(?:source\w*|\.|dotenv\w*|export|use|layout|path_add|PATH_add|watch_file|if|for|while|case|set|unset|eval)(?=\s|$)/;
/** Matches a line that doesn't change the meaning of later lines: a command with plain words, none of which affects variables or control flow. */
const HARMLESS =
  /^(?!(?:if|then|else|elif|fi|for|while|until|do|done|case|esac|select|function|set|unset|eval|exec|exit|return|declare|typeset|readonly|local|alias|trap)\b)[\w./:~ \t-]+(?:[ \t]#.*)?$/;

const CHANGED = 'the line before it may change its meaning';

/**
 * Parses an env file (`.env`, `.envrc`) without running any of it. Reads assignments of plain values, with or without `export` and quotes,
 * as a shell that sources the file would. Skips what only a shell can evaluate, and reports it by name.
 */
export function parseEnvFile(source: string): EnvFile {
  const text = source.replaceAll('\r\n', '\n');
  const found = new Map<string, string | SkippedEntry>();
  const others: SkippedEntry[] = [];
  for (let at = 0; at < text.length;) {
    const blank = matchAt(BLANK, text, at);
    if (blank !== null) {
      at += blank[0].length;
      continue;
    }
    const [start, name, sign] = matchAt(ASSIGNMENT, text, at) ?? [];
    const rest = lineFrom(text, at);
    const piece = start === undefined ? notAnAssignment(rest) : readValue(text, at + start.length, sign);
    if (name !== undefined && piece.kind === 'plain') {
      found.set(name, piece.value);
      at = piece.end;
      continue;
    }
    const goesOn = name === undefined ? HARMLESS.test(rest.trim()) : isClosed(rest);
    const line = text.slice(0, at).split('\n').length;
    const because = { line, why: piece.kind === 'plain' ? '' : piece.why };
    if (name === undefined)
      others.push({ name: COMMAND.exec(rest.trim())?.[0] ?? 'a line', isVariable: false, ...because });
    else found.set(name, { name, isVariable: true, ...because });
    // Discards earlier values of the variables that it names: a shell may end up with other values.
    for (const other of namesIn(goesOn ? rest : text.slice(at)))
      if (found.has(other)) found.set(other, { name: other, isVariable: true, ...because });
    if (!goesOn) {
      others.push({ name: 'all that follows', isVariable: false, line: line + 1, why: CHANGED });
      break;
    }
    at += rest.length + 1;
  }
  const values = new Map([...found].flatMap(([name, one]) => (typeof one === 'string' ? [[name, one] as const] : [])));
  const skipped = [...[...found.values()].filter((one) => typeof one !== 'string'), ...others];
  return { values, skipped: skipped.sort((a, b) => a.line - b.line) };
}

const namesIn = (text: string): string[] => text.match(/[A-Za-z_]\w*/g) ?? [];

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

const lineFrom = (text: string, at: number): string => {
  const end = text.indexOf('\n', at);
  return end === -1 ? text.slice(at) : text.slice(at, end);
};

const refused = (why: string): Refusal => ({ kind: 'refused', why });

const notAnAssignment = (line: string): Refusal =>
  refused(/^\s*export\s/.test(line) ? 'it has no plain value' : 'nothing in the file is run');

/** Returns true if nothing on the line extends to later lines: substitutions are complete, and the rest is plain words and closed quotes. */
function isClosed(line: string): boolean {
  const plain = line.replace(/\$\([^()]*\)|`[^`]*`|\$\{\w+\}/g, '');
  return ['"', "'"].every((quote) => plain.split(quote).length % 2 === 1) && !/[;&|<>(){}`\\]/.test(plain);
}

/** Reads a value to the end of its line: adjacent quoted and unquoted pieces. */
function readValue(text: string, from: number, sign: string | undefined): Piece {
  if (sign !== '=') return refused('it adds to a value that only a shell knows');
  let value = '';
  let at = from;
  for (;;) {
    const piece = readPiece(text, at, at === from);
    if (piece === undefined) break;
    if (piece.kind === 'refused') return piece;
    value += piece.value;
    at = piece.end;
  }
  const after = matchAt(/[ \t]+#[^\n]*(?:\n|$)|[ \t]*(?:\n|$)/y, text, at);
  if (after === null) return refused('there is more than one plain value on its line: quote a value with spaces');
  return { kind: 'plain', value, end: at + after[0].length };
}

/** Reads the next piece of a value; undefined at its end. */
function readPiece(text: string, at: number, isFirst: boolean): Piece | undefined {
  const first = text.charAt(at);
  if (first === '' || /\s/.test(first)) return undefined;
  if (first === "'") return readSingleQuoted(text, at + 1);
  if (first === '"') return readDoubleQuoted(text, at + 1);
  if (/[$`]/.test(first))
    return refused(
      `it contains \`${first === '$' && text.charAt(at + 1) === '(' ? '$(' : first}\`, which only a shell can evaluate`,
    );
  if (/[\\;&|<>(){}]/.test(first))
    return refused(`it contains \`${first}\` outside quotes, which has a meaning to a shell`);
  const plain = matchAt(/[^\s'"$`\\;&|<>(){}]+/y, text, at)?.[0] ?? '';
  if (isFirst ? /(?:^|:)~/.test(plain) : /:~/.test(plain))
    return refused('it contains `~`, which only a shell can evaluate');
  return { kind: 'plain', value: plain, end: at + plain.length };
}

function readSingleQuoted(text: string, at: number): Piece {
  const close = text.indexOf("'", at);
  if (close === -1) return refused('its quote is never closed');
  return { kind: 'plain', value: text.slice(at, close), end: close + 1 };
}

function readDoubleQuoted(text: string, from: number): Piece {
  let value = '';
  for (let at = from; at < text.length; at++) {
    const [char, next] = [text.charAt(at), text.charAt(at + 1)];
    if (char === '"') return { kind: 'plain', value, end: at + 1 };
    if (char === '`' || (char === '$' && /[\w{([*@#?$!-]/.test(next)))
      return refused(`it contains \`${char === '$' && next === '(' ? '$(' : char}\`, which only a shell can evaluate`);
    if (char === '\\' && /[$`"\\\n]/.test(next)) {
      if (next !== '\n') value += next;
      at += 1;
    } else {
      value += char;
    }
  }
  return refused('its quote is never closed');
}
