import { LineCounter, isMap, isPair, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { ToolError } from '../core/errors.ts';

/** Larger than any configuration that a person wrote; dstack's own loader takes seconds for more. */
const MAX_CHARS = 200_000;
const MAX_DEPTH = 60;
const MAX_ALIASES = 100;
// oxlint-disable-next-line no-control-regex -- these are what makes a text binary
const BINARY = /[\0-\x08\x0b\x0c\x0e-\x1f]/;

/** A configuration's text with its document, as YAML 1.1 like dstack's own loader. */
export interface ParsedText {
  readonly text: string;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
  /** Undefined where the text isn't YAML. */
  readonly value: unknown;
  /** What the YAML itself suffers from, with the place in the text. */
  readonly errors: readonly { readonly message: string; readonly offset: number }[];
}

/** Decodes a file. @throws ToolError `invalid-file` when it is larger than a configuration can be, or no text. */
export function decodeText(bytes: Uint8Array, shownPath: string): string {
  if (bytes.length > MAX_CHARS * 4) throw tooLarge(shownPath);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ToolError('invalid-file', `${shownPath} isn't UTF-8 text.`, 'Save it as UTF-8.', { cause: error });
  }
}

/**
 * Parses a text with its places, within limits of size, nesting and aliases.
 * @throws ToolError `invalid-file` when a limit is passed: such a text never reaches dstack's parser.
 */
export function parseText(text: string, shownPath: string): ParsedText {
  if (text.length > MAX_CHARS) throw tooLarge(shownPath);
  if (BINARY.test(text))
    throw new ToolError('invalid-file', `${shownPath} is binary: it holds control characters.`, 'Name a text file.');
  if (countOpenBrackets(text) > MAX_DEPTH) throw tooDeep(shownPath);
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    // dstack's loader takes the last of two equal keys; that is told as advice.
    document = parseDocument(text, {
      version: '1.1',
      uniqueKeys: false,
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
  return { text, document, lines, errors, value: errors.length > 0 ? undefined : toValue(document, shownPath) };
}

/** Nothing that `parseText` would refuse: short, without anchors, and not indented deeper than it nests. */
export function isPlainText(text: string): boolean {
  const anchorsOrDepth = /(?:^|[\s,[{])&[^\s&]|^ {60}/m;
  return (
    text.length <= MAX_CHARS / 4 &&
    !BINARY.test(text) &&
    !anchorsOrDepth.test(text) &&
    countOpenBrackets(text) <= MAX_DEPTH
  );
}

function toValue(document: Document.Parsed, shownPath: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // An alias without its anchor is dstack's to complain about.
    if (reason.startsWith('Unresolved alias')) return undefined;
    throw new ToolError(
      'invalid-file',
      `${shownPath} can't be read: ${reason}`,
      'Write it without that many aliases.',
      {
        cause: error,
      },
    );
  }
}

/** The most brackets that are open at once, whatever they stand in: the parser calls itself for each. */
function countOpenBrackets(text: string): number {
  let open = 0;
  let most = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]|^.*(?:- ){60}/gm)) {
    if (bracket.length > 1) return MAX_DEPTH + 1;
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

const tooLarge = (shownPath: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${shownPath} is too large: a configuration has at most ${MAX_CHARS.toLocaleString('en')} characters here.`,
    'Move scripts and data into files of their own (`files`, `repos`), and keep the configuration small.',
  );

const tooDeep = (shownPath: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${shownPath} is nested more than ${MAX_DEPTH} levels deep.`,
    'Configurations are a few levels deep: look for brackets that never close.',
  );
