import { createHash } from 'node:crypto';
import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { createLineSplitter } from './split-lines.ts';
import type { LogLine } from './split-lines.ts';

/** Which part of a log is wanted. */
export interface LogPageRequest {
  /** Lines on a page; the last ones unless a cursor says otherwise. */
  readonly lines: number;
  /** From `older` or `newer` of an earlier page of the same log with the same filter. */
  readonly cursor?: string;
  /** Literal text: only lines that hold it, with this many lines around each. */
  readonly filter?: LogFilter;
  /** The page is at most this long (but holds one line in any case); what doesn't fit is left for the next page. */
  readonly maxBytes: number;
  /** What the log is of (run, replica, job, since, ...): a cursor of another log is refused. */
  readonly logKey: string;
}

export interface LogFilter {
  readonly text: string;
  readonly ignoreCase?: boolean;
  readonly contextLines: number;
}

/** A part of a log, and where it stands in the whole. Line numbers start at 1 and count folded progress bars as one line. */
export interface LogPage {
  readonly text: string;
  /** Number of the first and last line shown; missing when nothing is. */
  readonly shown?: { readonly first: number; readonly last: number; readonly lines: number; readonly bytes: number };
  readonly total: { readonly lines: number; readonly bytes: number };
  /** Lines that hold the filter's text, in the whole log. */
  readonly matches?: number;
  /** Cursors to the pages before and after this one; missing at the ends. */
  readonly older?: string;
  readonly newer?: string;
  /** Overwritten states of progress bars that were left out. */
  readonly foldedStates: number;
  /** Shown lines that were longer than a line may be, and were cut in the middle. */
  readonly cutLines: number;
}

/** Takes a log in pieces, in order, and keeps only the page that was asked for. */
export interface LogPager {
  write(chunk: Uint8Array): void;
  end(): LogPage;
}

/** The page of a log that comes in pieces. Memory is bounded by `maxBytes`, however long the log is. */
export async function pageLog(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | string,
  request: LogPageRequest,
): Promise<LogPage> {
  const pager = createLogPager(request);
  if (typeof source === 'string') pager.write(Buffer.from(source));
  else for await (const chunk of source) pager.write(chunk);
  return pager.end();
}

/**
 * The same as a reducer, for output that is pushed.
 * @throws ToolError `invalid-value` for a cursor that is of another log or none.
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

/** Holds the lines of the page while the log goes by: the last ones before a place, or the first ones after it. */
function createPageKeeper(request: LogPageRequest, place: Place) {
  const kept: Selected[] = [];
  let keptBytes = 0;
  let before = 0;
  let after = 0;
  let full = false;
  // With a filter each line may have a `--` before it.
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
  const finish = (totals: Totals): LogPage => {
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
  };
  return { take, finish };
}

/** Where lines were left out between two that are shown stands `--`, as grep does it. */
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

/** Lets through all lines, or those that hold the filter's text with their neighbours. */
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

/** Binds a cursor to the log and the filter: on another one its line number would point anywhere. */
function cursorKey({ logKey, filter }: LogPageRequest): string {
  return createHash('sha256')
    .update(JSON.stringify([logKey, filter]))
    .digest('base64url')
    .slice(0, 8);
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
    'The cursor is of another log or filter; nothing was read.',
    'Repeat the call with the same run, replica, job, since and filter as before, or leave the cursor out for the last lines.',
  );
}

function parseCursor(cursor: string): z.output<typeof cursorSchema> {
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (error) {
    throw new ToolError(
      'invalid-value',
      'The cursor is not one of this tool; nothing was read.',
      'Take `older` or `newer` from an earlier result as it is, or leave the cursor out for the last lines.',
      { cause: error },
    );
  }
}

/** One sentence: which part of the log is shown, and how much there is. */
export function describeLogPage(page: LogPage): string {
  const total = `${count(page.total.lines, 'line')} (${formatBytes(page.total.bytes)})`;
  const matches = page.matches === undefined ? '' : `, ${count(page.matches, 'line')} with the filter's text`;
  if (page.shown === undefined) return `Nothing to show; the log has ${total}${matches}.`;
  const { first, last, lines } = page.shown;
  const range =
    lines === last - first + 1 ? `Lines ${first}-${last}` : `${count(lines, 'line')} between ${first} and ${last}`;
  const folded = page.foldedStates === 0 ? '' : ` ${count(page.foldedStates, 'overwritten progress state')} left out.`;
  const cut = page.cutLines === 0 ? '' : ` ${count(page.cutLines, 'overlong line')} cut in the middle.`;
  return `${range} of ${total}${matches}.${folded}${cut}`;
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

function formatBytes(bytes: number): string {
  if (bytes < 1024) return count(bytes, 'byte');
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}
