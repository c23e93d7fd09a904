import { expect, test } from 'vitest';
import { pageLog } from '../support/page-log.ts';

test('a page of a log of 100 MB needs less memory than the log', () => {
  const chunk = Buffer.from(`${'x'.repeat(99)}\n`.repeat(10_000));
  const source = function* () {
    for (let index = 0; index < 100; index += 1) yield chunk;
    yield Buffer.from('the end\n');
  };
  globalThis.gc?.();
  const before = process.memoryUsage();
  const page = pageLog(source(), { lines: 100, maxBytes: 40_000, logKey: 'main/web/0/0' });
  const after = process.memoryUsage();
  expect(page.total).toEqual({ lines: 1_000_001, bytes: 100_000_008 });
  expect(page.text.endsWith('the end\n')).toBe(true);
  expect(page.shown?.lines).toBe(100);
  expect(after.rss - before.rss).toBeLessThan(100_000_000);
});
