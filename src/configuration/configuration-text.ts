import { createTwoFilesPatch } from 'diff';
import { LineCounter, isAlias, isCollection, isMap, isNode, isPair, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, ScalarTag, Tags } from 'yaml';
import { ToolError, messageOf } from '../core/errors.ts';

/** More than any hand-written configuration has; dstack's own loader takes seconds for more. */
const MAX_CHARS = 200_000;
const MAX_DEPTH = 60;
/** Also counts brackets in strings, such as the color codes of a script, so it is larger than the depth. */
const MAX_OPEN_BRACKETS = 1_000;
const MAX_ALIASES = 100;
/** Lines and list items: parsing takes time for each. */
const MAX_PARTS = 10_000;
// oxlint-disable-next-line no-control-regex -- these are what makes a text binary
const BINARY = /[\0-\x08\x0b\x0c\x0e-\x1f]/;

/** A configuration's text with its parsed document, read as YAML 1.1 like dstack's own loader does. */
export interface ParsedText {
  readonly text: string;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
  /** Undefined if the text isn't valid YAML. */
  readonly value: unknown;
  /** YAML syntax errors, each with its offset in the text. */
  readonly errors: readonly { readonly message: string; readonly offset: number }[];
}

interface ParseOptions {
  /** Reports duplicate keys as errors. dstack's loader uses the last one. Defaults to false. */
  readonly uniqueKeys?: boolean;
}

/** Decodes a file as UTF-8. @throws ToolError `invalid-file` if it isn't UTF-8. */
export function decodeText(bytes: Uint8Array, shownPath: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ToolError('invalid-file', `${shownPath} isn't UTF-8 text.`, 'Save it as UTF-8.', { cause: error });
  }
}

/**
 * Parses a YAML text and keeps the position of every node. Limits size, nesting and aliases.
 * @throws ToolError `invalid-file` if a limit is exceeded, so that such a text never reaches dstack's parser.
 */
export function parseText(text: string, shownPath: string, { uniqueKeys = false }: ParseOptions = {}): ParsedText {
  checkLimits(text, shownPath);
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      version: '1.1',
      customTags: readFloatsAsDstack,
      uniqueKeys,
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
    });
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep(shownPath);
    throw error;
  }
  if (isTooDeep(document.contents)) throw tooDeep(shownPath);
  const errors = document.errors.map(({ message, pos }) => ({ message, offset: pos[0] }));
  if (errors.length > 0) return { text, document, lines, errors, value: undefined };
  return { text, document, lines, ...toValue(document, shownPath) };
}

/** Matches what dstack's loader reads as a number with a point: `.` and `-.5` are texts to it (yaml/resolver.py). */
const FLOAT = /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)$/;

/** Replaces the rule for floating-point numbers by the one of dstack's loader. */
const readFloatsAsDstack = (tags: Tags): Tags => tags.map((tag) => (isFloatTag(tag) ? { ...tag, test: FLOAT } : tag));

const isFloatTag = (tag: Tags[number]): tag is ScalarTag =>
  typeof tag === 'object' && tag.tag === 'tag:yaml.org,2002:float' && tag.test instanceof RegExp && tag.test.test('1.');

function checkLimits(text: string, shownPath: string): void {
  if (text.length > MAX_CHARS)
    throw new ToolError(
      'invalid-file',
      `${shownPath} is too large: the limit for a configuration is ${MAX_CHARS.toLocaleString('en')} characters.`,
      'Move scripts and data to separate files (`files`, `repos`), and keep the configuration small.',
    );
  if (BINARY.test(text))
    throw new ToolError('invalid-file', `${shownPath} is binary: it has control characters.`, 'Name a text file.');
  if (countParts(text) > MAX_PARTS)
    throw new ToolError(
      'invalid-file',
      `${shownPath} has too many lines or properties: the limit is ${MAX_PARTS.toLocaleString('en')}.`,
      'Move scripts and data to separate files (`files`, `repos`), and keep the configuration small.',
    );
  if (countOpenBrackets(text) > MAX_OPEN_BRACKETS) throw tooDeep(shownPath);
}

/** Returns true if `parseText` can't reject the text: it is short, has no anchors, and is indented no deeper than it nests. */
export function isPlainText(text: string): boolean {
  const anchorsOrDepth = /(?:^|[\s,[{])&[^\s&]|^ {60}/m;
  return (
    text.length <= MAX_CHARS / 4 &&
    countParts(text) <= MAX_PARTS &&
    !BINARY.test(text) &&
    !anchorsOrDepth.test(text) &&
    countOpenBrackets(text) <= MAX_DEPTH
  );
}

function toValue(document: Document.Parsed, shownPath: string): Pick<ParsedText, 'value' | 'errors'> {
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }), errors: [] };
  } catch (error) {
    const message = messageOf(error);
    // dstack reports an alias without its anchor.
    if (message.startsWith('Unresolved alias')) return { value: undefined, errors: [{ message, offset: 0 }] };
    throw new ToolError('invalid-file', `${shownPath} can't be read: ${message}`, 'Use fewer aliases.', {
      cause: error,
    });
  }
}

/** Counts lines and commas: at least as many as there are properties and items. */
function countParts(text: string): number {
  let parts = 1;
  for (let at = 0; at < text.length; at += 1)
    if (text[at] === '\n' || text[at] === ',' || text[at] === '\r') parts += 1;
  return parts;
}

/** Returns the most brackets open at once, including those in comments and strings: the parser recurses for each one. */
function countOpenBrackets(text: string): number {
  let open = 0;
  let most = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]|^.*(?:- ){60}/gm)) {
    if (bracket.length > 1) return Number.POSITIVE_INFINITY;
    open = Math.max(0, open + (bracket === '[' || bracket === '{' ? 1 : -1));
    most = Math.max(most, open);
  }
  return most;
}

function isTooDeep(root: unknown): boolean {
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true;
    level = level.flatMap((node): unknown[] => {
      if (isMap(node) || isSeq(node))
        return node.items.flatMap((item) => (isPair(item) ? [item.key, item.value] : [item]));
      return [];
    });
  }
  return false;
}

const tooDeep = (shownPath: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${shownPath} is nested more than ${MAX_DEPTH} levels deep.`,
    'Configurations are a few levels deep: check for brackets that are never closed.',
  );

/** A position in a text, counted from 1 as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
  /** How many characters to underline. */
  readonly length: number;
}

/** The node that a path leads to in a document. */
export interface Located {
  /** The part of the path that exists. */
  readonly path: readonly string[];
  /** The rest of the path, which doesn't. */
  readonly missing: readonly string[];
  readonly key: Position;
  readonly value: Position;
}

/** Finds a path's node, or its nearest existing ancestor. Skips names that pydantic adds (the branch of a union). */
export function locate(parsed: ParsedText, wanted: readonly string[]): Located {
  let node: unknown = parsed.document.contents;
  let key: Position = positionOf(parsed, node);
  const path: string[] = [];
  const missing: string[] = [];
  for (const part of wanted) {
    const inner: unknown = isAlias(node) ? node.resolve(parsed.document) : node;
    const item = isMap(inner)
      ? inner.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === part)
      : isSeq(inner) && /^\d+$/.test(part)
        ? inner.items[Number(part)]
        : undefined;
    if (item === undefined) {
      missing.push(part);
      continue;
    }
    path.push(part);
    missing.length = 0;
    const next: unknown = isPair(item) ? (item.value ?? item.key) : item;
    key = positionOf(parsed, isPair(item) ? item.key : item);
    node = next;
  }
  return { path, missing, key, value: isNode(node) && node.range ? positionOf(parsed, node) : key };
}

/** Returns the position of an offset. */
export function positionAt({ lines, text }: Pick<ParsedText, 'lines' | 'text'>, offset: number, length = 1): Position {
  const { line, col } = lines.linePos(Math.min(offset, text.length));
  return { line: Math.max(line, 1), column: Math.max(col, 1), length };
}

function positionOf(parsed: ParsedText, node: unknown): Position {
  if (!isNode(node) || !node.range) return { line: 1, column: 1, length: 1 };
  const [start, end] = node.range;
  const firstLine = parsed.text.slice(start, end).split('\n', 1)[0] ?? '';
  return positionAt(parsed, start, Math.max(1, firstLine.trimEnd().length));
}

/** Returns the line of a position with carets under it, as compilers print it. */
export function codeFrame(text: string, { line, column, length }: Position): string {
  const content = (text.split(/\r?\n/)[line - 1] ?? '').replaceAll('\t', ' ');
  const start = Math.max(0, column - 60);
  const shown = content.slice(start, start + 120);
  const width = Math.max(1, Math.min(length, shown.length - (column - 1 - start)));
  const gutter = String(line);
  return `${gutter} | ${shown}\n${' '.repeat(gutter.length)} | ${' '.repeat(column - 1 - start)}${'^'.repeat(width)}`;
}

/** A change to one property: its dotted path, and its new value or name. Without either, the property is removed. */
export interface Edit {
  readonly path: string;
  readonly value?: unknown;
  readonly rename?: string | undefined;
}

/**
 * Changes properties in a text and keeps its comments, order and formatting.
 * @throws ToolError `invalid-file` for a text that isn't YAML, `invalid-input` for a path that can't be resolved.
 */
export function editText(text: string, edits: readonly Edit[]): string {
  const document = parseDocument(text, {
    version: '1.1',
    customTags: readFloatsAsDstack,
    uniqueKeys: false,
    logLevel: 'error',
  });
  if (document.errors[0] !== undefined)
    throw new ToolError(
      'invalid-file',
      `The file isn't valid YAML, so single properties can't be changed: ${document.errors[0].message}`,
      'Pass the whole `text` instead.',
    );
  for (const edit of edits) applyEdit(document, edit);
  return writeAsIn(text, document);
}

/** Writes an edited document in the style of its text, as far as it can be detected. */
export function writeAsIn(text: string, document: Document.Parsed): string {
  const edited = document.toString({
    lineWidth: 0,
    indentSeq: !/^[^\s#-][^\n]*:[ \t]*\r?\n- /m.test(text),
    flowCollectionPadding: !/[[{][^\s\]}]/.test(text),
  });
  return text.includes('\r\n') ? edited.replaceAll(/\r?\n/g, '\r\n') : edited;
}

function applyEdit(document: Document.Parsed, { path, value, rename }: Edit): void {
  const names = path.split('.').filter((name) => name !== '');
  if (names.length === 0) throw invalidPath(path, 'it is empty');
  const steps: (string | number)[] = [];
  let node: unknown = document.contents;
  for (const [at, name] of names.entries()) {
    const step = isSeq(node) && /^\d+$/.test(name) ? Number(name) : name;
    const isLast = at === names.length - 1;
    if (isSeq(node) && (typeof step === 'string' || step > node.items.length))
      throw invalidPath(path, `\`${name}\` isn't an item of the list`);
    steps.push(step);
    node = isCollection(node) ? node.get(step, true) : undefined;
    // A property that is missing or empty, such as `env:`. The library would create an ordered map in its place (`!!omap`).
    const isBlank = node === undefined || (isScalar(node) && node.value === null);
    if (!isLast && value !== undefined && isBlank) {
      document.setIn(steps, document.createNode({}));
      node = document.getIn(steps, true);
    }
    if (!isLast && node !== undefined && node !== null && !isMap(node) && !isSeq(node))
      throw invalidPath(path, `\`${steps.join('.')}\` is a plain value or an alias`);
  }
  if (rename !== undefined) {
    renameProperty(document, steps, rename);
    // Its new value, if there is one, replaces that of the new name.
    if (value !== undefined) applyEdit(document, { path: [...names.slice(0, -1), rename].join('.'), value });
  } else if (value === undefined) {
    if (!document.hasIn(steps)) throw invalidPath(path, 'it is not in the file');
    document.deleteIn(steps);
  } else if (isScalar(node) && (typeof value !== 'object' || value === null)) {
    // Keep the node, and with it the comment after it.
    node.value = value;
  } else {
    document.setIn(steps, document.createNode(value));
  }
}

/** Renames a property in its place: its value and its comments stay. */
function renameProperty(document: Document.Parsed, steps: readonly (string | number)[], rename: string): void {
  const path = steps.join('.');
  const parent: unknown = steps.length === 1 ? document.contents : document.getIn(steps.slice(0, -1), true);
  if (!isMap(parent) || !parent.has(steps.at(-1))) throw invalidPath(path, 'it is not in the file');
  if (parent.has(rename)) throw invalidPath(path, `\`${rename}\` is in the file already`);
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === steps.at(-1));
  if (pair !== undefined && isScalar(pair.key)) pair.key.value = rename;
}

/** Returns the unified diff of two versions of a file. */
export function diffTexts(file: string, before: string | undefined, after: string): string {
  return createTwoFilesPatch(before === undefined ? '/dev/null' : file, file, before ?? '', after, '', '', {
    context: 3,
  })
    .split('\n')
    .filter((line) => !/^=+$/.test(line))
    .join('\n');
}

const invalidPath = (path: string, why: string): ToolError =>
  new ToolError(
    'invalid-input',
    `The path ${JSON.stringify(path)} can't be changed: ${why}. Nothing was written.`,
    'Separate properties with dots and name list items by number: resources.gpu, commands.0.',
  );
