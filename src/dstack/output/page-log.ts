import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { formatBytes, plural } from '../../core/format-values.ts';
import { sha256 } from '../../core/sha256.ts';
import { createLineSplitter } from './split-lines.ts';
import type { LogLine } from './split-lines.ts';

/** Selects a part of a log. */
export interface LogPageRequest {
  /** Lines per page: the last ones, unless a cursor selects others. */
  readonly lines: number;
  /** `older` or `newer` of an earlier page of the same log with the same filter. */
  readonly cursor?: string;
  /** Selects only the lines that contain a text, with their context. */
  readonly filter?: LogFilter;
  /** The size limit of the page. It contains at least one line; what doesn't fit is left for the next page. */
  readonly maxBytes: number;
  /** Identifies the log (run, replica, job, since, ...): a cursor of another log is rejected. */
  readonly logKey: string;
}

export interface LogFilter {
  readonly text: string;
  readonly ignoreCase?: boolean;
  readonly contextLines: number;
}

/** A part of a log and its position in the whole. Line numbers start at 1; a folded progress bar counts as one line. */
export interface LogPage {
  readonly text: string;
  /** The first and last line shown; missing if there are none. */
  readonly shown?: { readonly first: number; readonly last: number; readonly lines: number; readonly bytes: number };
  readonly total: { readonly lines: number; readonly bytes: number };
  /** Lines in the whole log that contain the filter's text. */
  readonly matches?: number;
  /** Cursors to the pages before and after this one; missing at the ends. */
  readonly older?: string;
  readonly newer?: string;
  /** Number of overwritten progress-bar states that were omitted. */
  readonly foldedStates: number;
  /** Number of shown lines that exceeded the limit and were cut in the middle. */
  readonly cutLines: number;
}

/** Consumes a log chunk by chunk and keeps only the requested page. */
export interface LogPager {
  write(chunk: Uint8Array): void;
  end(): LogPage;
}

/**
 * Creates a pager. Its memory is bounded by `maxBytes`, however long the log is.
 * @throws ToolError `invalid-value` if the cursor is invalid or belongs to another log.
 */
export function createLogPager(request: LogPageRequest): LogPager {
  const place = readCursor(request);
  const page = createPageKeeper(request, place);
  const select = createSelector(request.filter, page.take);
  const splitter = createLineSplitter((line) => select.push(line));
  return {
    write: (chunk) => splitter.write(chunk),
    end: () => {
      const { bytes, lines, foldedStates } = splitter.end();
      return page.finish({ bytes, lines, foldedStates, matches: select.matches() });
    },
  };
}

interface Selected {
  readonly line: LogLine;
  readonly bytes: number;
}

interface Totals {
  readonly bytes: number;
  readonly lines: number;
  readonly foldedStates: number;
  readonly matches: number | undefined;
}

/** Keeps the lines of the page while the log passes by: the last ones before a position, or the first ones after it. */
function createPageKeeper(request: LogPageRequest, place: Place) {
  const kept: Selected[] = [];
  let keptBytes = 0;
  let before = 0;
  let after = 0;
  let full = false;
  // With a filter, each line may be preceded by a `--`.
  const endBytes = request.filter === undefined ? 1 : 4;
  const fits = (bytes: number): boolean =>
    kept.length === 0 || (kept.length < request.lines && keptBytes + bytes <= request.maxBytes);
  const add = (selected: Selected): void => {
    kept.push(selected);
    keptBytes += selected.bytes;
  };
  const take = (line: LogLine): void => {
    const selected = { line, bytes: Buffer.byteLength(line.text) + endBytes };
    if (place.kind === 'after') {
      if (line.number <= place.line) before += 1;
      else if (!full && fits(selected.bytes)) add(selected);
      else {
        full = true;
        after += 1;
      }
      return;
    }
    if (place.kind === 'before' && line.number >= place.line) {
      after += 1;
      return;
    }
    while (kept.length > 0 && !fits(selected.bytes)) {
      keptBytes -= kept.shift()?.bytes ?? 0;
      before += 1;
    }
    add(selected);
  };
  return { take, finish: (totals: Totals) => toPage(request, { kept, before, after }, totals) };
}

interface Selection {
  readonly kept: readonly Selected[];
  /** Number of selected lines before and after those of the page. */
  readonly before: number;
  readonly after: number;
}

function toPage(request: LogPageRequest, { kept, before, after }: Selection, totals: Totals): LogPage {
  const text = joinLines(kept);
  const first = kept[0]?.line;
  const last = kept.at(-1)?.line;
  return {
    text,
    total: { lines: totals.lines, bytes: totals.bytes },
    foldedStates: totals.foldedStates,
    cutLines: kept.filter(({ line }) => line.cut).length,
    ...(totals.matches === undefined ? {} : { matches: totals.matches }),
    ...(first === undefined || last === undefined
      ? {}
      : {
          shown: { first: first.number, last: last.number, lines: kept.length, bytes: Buffer.byteLength(text) },
          ...(before > 0 ? { older: writeCursor(request, { kind: 'before', line: first.number }) } : {}),
          ...(after > 0 ? { newer: writeCursor(request, { kind: 'after', line: last.number }) } : {}),
        }),
  };
}

/** Marks omitted lines with `--`, as grep does. */
function joinLines(kept: readonly Selected[]): string {
  let previous: number | undefined;
  const parts: string[] = [];
  for (const { line } of kept) {
    if (previous !== undefined && line.number !== previous + 1) parts.push('--\n');
    parts.push(line.text, '\n');
    previous = line.number;
  }
  return parts.join('');
}

/** Selects all lines, or those that contain the filter's text, with their context. */
function createSelector(filter: LogFilter | undefined, take: (line: LogLine) => void) {
  if (filter === undefined) return { push: take, matches: () => undefined };
  const fold = (text: string): string => (filter.ignoreCase === true ? text.toLowerCase() : text);
  const wanted = fold(filter.text);
  const waiting: LogLine[] = [];
  let matches = 0;
  let lastMatch = -Infinity;
  const push = (line: LogLine): void => {
    if (fold(line.text).includes(wanted)) {
      matches += 1;
      lastMatch = line.number;
      for (const earlier of waiting.splice(0)) take(earlier);
      take(line);
    } else if (line.number - lastMatch <= filter.contextLines) take(line);
    else {
      waiting.push(line);
      if (waiting.length > filter.contextLines) waiting.shift();
    }
  };
  return { push, matches: () => matches };
}

type Place = { readonly kind: 'end' } | { readonly kind: 'before' | 'after'; readonly line: number };

const cursorSchema = z.tuple([z.enum(['before', 'after']), z.int().positive(), z.string()]);

/** Ties a cursor to its log and filter: in another one, its line number would be meaningless. */
function cursorKey({ logKey, filter }: LogPageRequest): string {
  return sha256(JSON.stringify([logKey, filter])).slice(0, 12);
}

function writeCursor(request: LogPageRequest, place: { kind: 'before' | 'after'; line: number }): string {
  return Buffer.from(JSON.stringify([place.kind, place.line, cursorKey(request)])).toString('base64url');
}

function readCursor(request: LogPageRequest): Place {
  if (request.cursor === undefined) return { kind: 'end' };
  const [kind, line, key] = parseCursor(request.cursor);
  if (key === cursorKey(request)) return { kind, line };
  throw new ToolError(
    'invalid-value',
    'The cursor belongs to another log or filter. Nothing was read.',
    'Repeat the call with the same run, replica, job, since and filter as before, or omit the cursor for the last lines.',
  );
}

/** Checks the form of a cursor. @throws ToolError `invalid-value` */
export function checkCursor(cursor: string | undefined): void {
  if (cursor !== undefined) parseCursor(cursor);
}

function parseCursor(cursor: string): z.output<typeof cursorSchema> {
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (error) {
    throw new ToolError(
      'invalid-value',
      'The cursor is invalid. Nothing was read.',
      'Pass `older` or `newer` of an earlier result unchanged, or omit the cursor for the last lines.',
      { cause: error },
    );
  }
}

/** Says in one sentence which part of the log is shown, and how long it is. */
export function describeLogPage(page: LogPage): string {
  const total = `${plural(page.total.lines, 'line')} (${formatBytes(page.total.bytes)})`;
  const matches = page.matches === undefined ? '' : `, ${plural(page.matches, 'line')} with the filter's text`;
  if (page.shown === undefined) return `Nothing to show: the log has ${total}${matches}.`;
  const { first, last, lines } = page.shown;
  const range =
    lines === last - first + 1 ? `Lines ${first}-${last}` : `${plural(lines, 'line')} between ${first} and ${last}`;
  const folded = page.foldedStates === 0 ? '' : ` ${plural(page.foldedStates, 'overwritten progress state')} omitted.`;
  const cut = page.cutLines === 0 ? '' : ` ${plural(page.cutLines, 'overlong line')} cut in the middle.`;
  return `${range} of ${total}${matches}.${folded}${cut}`;
}
