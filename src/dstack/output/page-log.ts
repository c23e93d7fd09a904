import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { formatBytes, plural, sha256 } from '../../core/values.ts';
import { createLineSplitter } from '../run/collect-output.ts';
import type { LineTotals, LogLine } from '../run/collect-output.ts';

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

interface LogFilter {
  readonly text: string;
  readonly ignoreCase?: boolean;
  readonly contextLines: number;
}

/** A part of a log and its position in the whole. Line numbers start at 1; a folded progress bar counts as one line. */
export interface LogPage {
  readonly text: string;
  /** The first and last line shown; missing if there are none. */
  readonly shown?: { readonly first: number; readonly last: number; readonly lines: number };
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

/**
 * Consumes a log chunk by chunk and keeps only the requested page. Its memory is bounded by `maxBytes`, however long the log is.
 * @throws ToolError `invalid-value` if the cursor is invalid or belongs to another log.
 */
export function createLogPager(request: LogPageRequest) {
  const page = createPageKeeper(request);
  const select = createSelector(request.filter, page.take);
  const splitter = createLineSplitter(select.push);
  return {
    write: splitter.write,
    end: (): LogPage => describePage(request, page.kept(), { ...splitter.end(), matches: select.matches() }),
  };
}

/** Keeps the lines of the page while the log passes by: the last ones before a position, or the first ones after it. */
function createPageKeeper(request: LogPageRequest) {
  const place = readCursor(request);
  // With a filter, each line may be preceded by a `--`.
  const endBytes = request.filter === undefined ? 1 : 4;
  const bytesOf = ({ text }: LogLine): number => Buffer.byteLength(text) + endBytes;
  const lines: LogLine[] = [];
  let keptBytes = 0;
  /** The number of selected lines before and after those of the page. */
  let before = 0;
  let after = 0;
  const fits = (line: LogLine): boolean =>
    lines.length === 0 || (lines.length < request.lines && keptBytes + bytesOf(line) <= request.maxBytes);
  const take = (line: LogLine): void => {
    if (place.kind === 'after' && line.number <= place.line) before += 1;
    // Once a line doesn't fit, no later one is shown: there are no holes in a page.
    else if (place.kind === 'after' ? after > 0 || !fits(line) : line.number >= place.line) after += 1;
    else {
      for (; !fits(line); before += 1) keptBytes -= bytesOf(lines.shift() ?? line);
      lines.push(line);
      keptBytes += bytesOf(line);
    }
  };
  return { take, kept: () => ({ lines, before, after }) };
}

function describePage(
  request: LogPageRequest,
  { lines, before, after }: ReturnType<ReturnType<typeof createPageKeeper>['kept']>,
  { matches, foldedStates, ...total }: LineTotals & { readonly matches: number | undefined },
): LogPage {
  const first = lines[0]?.number ?? 0;
  const last = lines.at(-1)?.number ?? 0;
  const hasLines = lines.length > 0;
  return {
    text: joinLines(lines),
    total,
    foldedStates,
    cutLines: lines.filter(({ cut }) => cut).length,
    ...(matches === undefined ? {} : { matches }),
    ...(hasLines ? { shown: { first, last, lines: lines.length } } : {}),
    ...(hasLines && before > 0 ? { older: writeCursor(request, { kind: 'before', line: first }) } : {}),
    ...(hasLines && after > 0 ? { newer: writeCursor(request, { kind: 'after', line: last }) } : {}),
  };
}

/** Marks omitted lines with `--`, as grep does. */
const joinLines = (lines: readonly LogLine[]): string =>
  lines
    .map(({ number, text }, index) => {
      const previous = lines[index - 1]?.number ?? number - 1;
      return `${previous === number - 1 ? '' : '--\n'}${text}\n`;
    })
    .join('');

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

/** The lines before or after a line. */
type Place = { readonly kind: 'before' | 'after'; readonly line: number };

const cursorSchema = z.tuple([z.enum(['before', 'after']), z.int().positive(), z.string()]);

/** Ties a cursor to its log and filter: in another one, its line number would be meaningless. */
function cursorKey({ logKey, filter }: LogPageRequest): string {
  return sha256(JSON.stringify([logKey, filter])).slice(0, 12);
}

const writeCursor = (request: LogPageRequest, { kind, line }: Place): string =>
  Buffer.from(JSON.stringify([kind, line, cursorKey(request)])).toString('base64url');

function readCursor(request: LogPageRequest): Place {
  if (request.cursor === undefined) return { kind: 'before', line: Infinity };
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
