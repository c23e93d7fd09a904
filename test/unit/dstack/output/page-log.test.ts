import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { createLogPager, describeLogPage } from '../../../../src/dstack/output/page-log.ts';
import type { LogPageRequest } from '../../../../src/dstack/output/page-log.ts';
import { pageLog } from '../../../support/page-log.ts';

const log = (lines: number): string => Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join('');
const request = (more: Partial<LogPageRequest> = {}): LogPageRequest => ({
  lines: 3,
  maxBytes: 40_000,
  logKey: 'main/web/0/0',
  ...more,
});

describe('a page of a log', () => {
  test('contains the last lines and their numbers', () => {
    const page = pageLog(log(10), request());
    expect(page).toMatchObject({
      text: 'line 8\nline 9\nline 10\n',
      shown: { first: 8, last: 10, lines: 3 },
      total: { lines: 10, bytes: 71 },
      cutLines: 0,
    });
    expect(page.newer).toBeUndefined();
    expect(describeLogPage(page)).toBe('Lines 8-10 of 10 lines (71 bytes).');
  });

  test('links to the page before it and back', () => {
    const last = pageLog(log(10), request());
    const before = pageLog(log(10), request({ ...cursorOf(last.older) }));
    expect(before.text).toBe('line 5\nline 6\nline 7\n');
    const back = pageLog(log(10), request({ ...cursorOf(before.newer) }));
    expect(back.text).toBe('line 8\nline 9\nline 10\n');
  });

  test('has no older page at the beginning', () => {
    const last = pageLog(log(4), request());
    const first = pageLog(log(4), request({ ...cursorOf(last.older) }));
    expect(first.text).toBe('line 1\n');
    expect(first.older).toBeUndefined();
  });

  test('continues where the log ended before, once it has grown', () => {
    const last = pageLog(log(10), request({ lines: 5 }));
    const before = pageLog(log(10), request({ lines: 5, ...cursorOf(last.older) }));
    const grown = pageLog(log(12), request({ lines: 50, ...cursorOf(before.newer) }));
    expect(grown.text).toBe(log(12).split('line 5\n')[1]);
  });

  test('shows each line exactly once while paging back, for all sizes', () => {
    const sizes = fc.record({ lines: fc.integer({ min: 1, max: 9 }), maxBytes: fc.integer({ min: 5, max: 200 }) });
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-zé ]{0,20}$/), { minLength: 1, maxLength: 30 }),
        sizes,
        (lines, size) => {
          const text = lines.map((line) => `${line}\n`).join('');
          let seen = '';
          let cursor: string | undefined;
          do {
            const page = pageLog(text, request({ ...size, ...cursorOf(cursor) }));
            seen = page.text + seen;
            expect(page.shown?.lines).toBeLessThanOrEqual(size.lines);
            const isOneLine = page.shown?.lines === 1;
            expect(isOneLine || Buffer.byteLength(page.text) <= size.maxBytes).toBe(true);
            cursor = page.older;
          } while (cursor !== undefined);
          expect(seen).toBe(text);
        },
      ),
    );
  });

  test('contains only matching lines and their context, with a mark where others are omitted', () => {
    const filter = { text: 'line 5', contextLines: 1 };
    const page = pageLog(`${log(9)}x line 5 [.*]\nend\n`, request({ lines: 20, filter }));
    expect(page.text).toBe('line 4\nline 5\nline 6\n--\nline 9\nx line 5 [.*]\nend\n');
    expect(page.matches).toBe(2);
    expect(describeLogPage(page)).toContain("2 lines with the filter's text");
  });

  test('matches the filter literally, ignoring case only on request', () => {
    const text = 'a.b\naxb\nA.B\n';
    expect(pageLog(text, request({ filter: { text: 'a.b', contextLines: 0 } })).text).toBe('a.b\n');
    expect(pageLog(text, request({ filter: { text: 'a.b', contextLines: 0, ignoreCase: true } })).text).toBe(
      'a.b\n--\nA.B\n',
    );
  });

  test('pages through the matches of a filter', () => {
    const filter = { text: 'match', contextLines: 0 };
    const text = Array.from({ length: 20 }, (_, index) => `${index % 2 === 0 ? 'match' : 'other'} ${index}\n`).join('');
    const last = pageLog(text, request({ filter }));
    const before = pageLog(text, request({ filter, ...cursorOf(last.older) }));
    expect(last.text).toBe('match 14\n--\nmatch 16\n--\nmatch 18\n');
    expect(before.text).toBe('match 8\n--\nmatch 10\n--\nmatch 12\n');
  });

  test('counts a progress bar as one line, in its last state', () => {
    const bar = Array.from({ length: 100 }, (_, percent) => `${percent}%\r`).join('');
    const page = pageLog(`start\n${bar}100%\nend\n`, request());
    expect(page).toMatchObject({ text: 'start\n100%\nend\n', foldedStates: 100, total: { lines: 3 } });
  });

  test('cuts an overlong line in the middle and reports how much is missing', () => {
    const page = pageLog(`${'a'.repeat(50_000)}END\n`, request());
    expect(page.text).toMatch(/^a+\[\.\.\. \d+ characters cut \.\.\.\]a+END\n$/);
    expect(page.text.length).toBeLessThan(10_000);
    expect(page.cutLines).toBe(1);
    expect(page.total).toEqual({ lines: 1, bytes: 50_004 });
  });

  test('reports that an empty log has nothing to show', () => {
    const page = pageLog('', request());
    expect(page.text).toBe('');
    expect(describeLogPage(page)).toBe('Nothing to show: the log has 0 lines (0 bytes).');
  });

  test('keeps characters whole that are split across chunks', () => {
    const pager = createLogPager(request());
    for (const byte of Buffer.from('größe 😀\n')) pager.write(Uint8Array.of(byte));
    expect(pager.end().text).toBe('größe 😀\n');
  });

  test.each([
    ['garbage', 'garbage'],
    ['another shape', Buffer.from('["after",-1,"x"]').toString('base64url')],
  ])('rejects %s as a cursor', (_what, cursor) => {
    expect(() => pageLog(log(3), request({ cursor }))).toThrow(ToolError);
  });

  test('rejects the cursor of another log or filter', () => {
    const { older } = pageLog(log(10), request());
    const invalid: unknown = expect.objectContaining({ code: 'invalid-value' });
    expect(() => pageLog(log(10), request({ logKey: 'main/other/0/0', ...cursorOf(older) }))).toThrow(invalid);
    const filter = { text: 'line', contextLines: 0 };
    expect(() => pageLog(log(10), request({ filter, ...cursorOf(older) }))).toThrow(invalid);
  });
});

function cursorOf(cursor: string | undefined): { cursor?: string } {
  return cursor === undefined ? {} : { cursor };
}
