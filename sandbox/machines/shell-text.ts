/** The operator between a statement and the next one. */
export type Joiner = 'and' | 'or' | 'background' | 'then';

/** One statement of a shell script. */
export interface Statement {
  readonly text: string;
  readonly joiner: Joiner;
}

/** Splits a shell script at line breaks, `;`, `&&`, `||` and `&` outside quotes and parentheses. */
export function splitStatements(script: string): Statement[] {
  const source = dropHereDocuments(script).replaceAll('\\\n', ' ');
  const statements: Statement[] = [];
  let text = '';
  const push = (joiner: Joiner): void => {
    if (text.trim() !== '') statements.push({ text: text.trim(), joiner });
    text = '';
  };
  for (let index = 0; index < source.length;) {
    const protectedPart = matchProtected(source, index);
    if (protectedPart) {
      text += protectedPart;
      index += protectedPart.length;
      continue;
    }
    const rest = source.slice(index);
    const comment = /^#[^\n]*/.exec(rest)?.[0];
    if (comment && (text === '' || /\s$/.test(text))) {
      index += comment.length;
      continue;
    }
    const separator = /^(&&|\|\||[;\n]+)/.exec(rest)?.[0] ?? (isBackground(text, rest) ? '&' : undefined);
    if (separator) {
      push(separator === '&&' ? 'and' : separator === '||' ? 'or' : separator === '&' ? 'background' : 'then');
      index += separator.length;
      continue;
    }
    text += rest[0] ?? '';
    index += 1;
  }
  push('then');
  return statements;
}

/** A command with its quotes and variables resolved. */
export interface ParsedCommand {
  readonly words: readonly string[];
  /** The destination of its output. */
  readonly output: 'log' | 'file' | 'pipe';
}

/** Resolves quotes, variables and redirections of one command. */
export function parseCommand(text: string, variables: ReadonlyMap<string, string>): ParsedCommand {
  const state: ParserState = { words: [], word: undefined, output: 'log', variables };
  let rest = text;
  while (rest !== '') {
    const length = takeToken(rest, state);
    if (state.output === 'pipe') break;
    rest = rest.slice(length);
  }
  endWord(state);
  return { words: state.words, output: state.output };
}

interface ParserState {
  readonly words: string[];
  word: string | undefined;
  output: ParsedCommand['output'];
  readonly variables: ReadonlyMap<string, string>;
}

type TokenRule = readonly [pattern: RegExp, apply: (state: ParserState, match: RegExpExecArray) => void];

const TOKEN_RULES: readonly TokenRule[] = [
  [/^'([^']*)'/, (state, match) => append(state, match[1] ?? '')],
  [/^"((?:[^"\\]|\\.)*)"/s, (state, match) => append(state, expandQuoted(match[1] ?? '', state.variables))],
  [/^\\(.)/s, (state, match) => append(state, match[1] ?? '')],
  [/^(?:2>\s*&1|[12]?>\s*&[12]|2>>?\s*\S+)/, () => undefined],
  [/^[1&]?>>?\s*(\S+)/, (state, match) => redirect(state, match[1] ?? '')],
  [/^\|/, (state) => (state.output = 'pipe')],
  [/^\s+/, endWord],
  [/^\$\((?:[^()]|\([^()]*\))*\)/, (state, match) => append(state, match[0])],
  [/^\$(?:\w+|\{[^}]*\})/, (state, match) => append(state, expandVariables(match[0], state.variables))],
  [/^./s, (state, match) => append(state, match[0])],
];

/** Applies the first matching rule and returns the length of its match. */
function takeToken(text: string, state: ParserState): number {
  for (const [pattern, apply] of TOKEN_RULES) {
    const match = pattern.exec(text);
    // A digit before `>` is a file descriptor only at the start of a word.
    if (!match || (/^\d>/.test(match[0]) && state.word !== undefined)) continue;
    apply(state, match);
    return match[0].length;
  }
  return text.length;
}

function append(state: ParserState, text: string): void {
  state.word = (state.word ?? '') + text;
}

function endWord(state: ParserState): void {
  if (state.word !== undefined) state.words.push(state.word);
  state.word = undefined;
}

function redirect(state: ParserState, target: string): void {
  if (target !== '/dev/stderr' && target !== '/dev/stdout') state.output = 'file';
}

/** Expands `$NAME`, `${NAME}` and `${NAME:-default}`. Unset variables expand to nothing, as in a shell. */
function expandVariables(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})/g,
    (_match, plain?: string, braced?: string, fallback?: string) =>
      variables.get(plain ?? braced ?? '') ?? fallback ?? '',
  );
}

function expandQuoted(text: string, variables: ReadonlyMap<string, string>): string {
  return text
    .split(/(\\[\\"$`])/)
    .map((part) => (/^\\[\\"$`]$/.test(part) ? part.slice(1) : expandVariables(part, variables)))
    .join('');
}

function matchProtected(source: string, index: number): string | undefined {
  const first = source[index];
  if (first === '\\') return source.slice(index, index + 2);
  if (first === "'") return /^'[^']*'/.exec(source.slice(index))?.[0];
  if (first === '"') return /^"(?:[^"\\]|\\.)*"/s.exec(source.slice(index))?.[0];
  if (first !== '(') return undefined;
  let depth = 0;
  for (let end = index; end < source.length;) {
    const quoted = source[end] === '(' ? undefined : matchProtected(source, end);
    if (quoted) {
      end += quoted.length;
      continue;
    }
    if (source[end] === '(') depth += 1;
    if (source[end] === ')') depth -= 1;
    end += 1;
    if (depth === 0) return source.slice(index, end);
  }
  return undefined;
}

function isBackground(before: string, rest: string): boolean {
  return rest.startsWith('&') && !rest.startsWith('&>') && !before.endsWith('>') && !before.endsWith('<');
}

function dropHereDocuments(script: string): string {
  return script.replaceAll(/<<-?\s*(['"]?)(\w+)\1([^\n]*)\n[\s\S]*?\n[ \t]*\2(?=\n|$)/g, '<<$2$3');
}
