import { isAlias, isMap, isNode, isPair, isScalar, isSeq } from 'yaml';
import type { ParsedText } from './parse-text.ts';

/** A place in a text, counted from 1 as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
  /** How many characters the caret underlines. */
  readonly length: number;
}

/** Where a path leads in a document. */
export interface Located {
  /** The part of the path that is there. */
  readonly path: readonly string[];
  /** What follows it and isn't. */
  readonly missing: readonly string[];
  readonly key: Position;
  readonly value: Position;
}

/** The place of a path; the nearest that is there, where the rest is missing. Names that pydantic adds (a union's branch) are skipped. */
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

/** The position of an offset. */
export function positionAt({ lines, text }: ParsedText, offset: number, length = 1): Position {
  const { line, col } = lines.linePos(Math.min(offset, text.length));
  return { line: Math.max(line, 1), column: Math.max(col, 1), length };
}

function positionOf(parsed: ParsedText, node: unknown): Position {
  if (!isNode(node) || !node.range) return { line: 1, column: 1, length: 1 };
  const [start, end] = node.range;
  const firstLine = parsed.text.slice(start, end).split('\n', 1)[0] ?? '';
  return positionAt(parsed, start, Math.max(1, firstLine.trimEnd().length));
}

/** The line of a place with carets under it, as a compiler shows it. */
export function pointAt(text: string, { line, column, length }: Position): string {
  const content = (text.split(/\r?\n/)[line - 1] ?? '').replaceAll('\t', ' ');
  const start = Math.max(0, column - 60);
  const shown = content.slice(start, start + 120);
  const width = Math.max(1, Math.min(length, shown.length - (column - 1 - start)));
  const gutter = String(line);
  return `${gutter} | ${shown}\n${' '.repeat(gutter.length)} | ${' '.repeat(column - 1 - start)}${'^'.repeat(width)}`;
}
