import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLineSplitter } from '../../../../src/dstack/output/split-lines.ts';

function linesOf(text: string, chunkBytes = 1_000): string[] {
  const lines: string[] = [];
  const splitter = createLineSplitter((line) => lines.push(line.text));
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += chunkBytes)
    splitter.write(bytes.subarray(start, start + chunkBytes));
  splitter.end();
  return lines;
}

/** The last state of each line that a terminal would show. */
function foldWhole(text: string): string[] {
  const lines = text.split('\n').map((line) => line.split('\r').findLast((state) => state !== '') ?? '');
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

describe('split lines', () => {
  test('keep the last state of a progress bar', () => {
    expect(linesOf('before\n 0%|  |\r50%|# |\r100%|##|\nafter\n')).toEqual(['before', '100%|##|', 'after']);
  });

  test('leave Windows line endings and plain text alone', () => {
    expect(linesOf('a\r\nb\r\n')).toEqual(['a', 'b']);
    expect(linesOf('a\nb')).toEqual(['a', 'b']);
  });

  test('keep a progress bar that ends with a carriage return', () => {
    expect(linesOf('50%\r100%\r\n')).toEqual(['100%']);
    expect(linesOf('50%\r100%\r')).toEqual(['100%']);
  });

  test('are the same however the text is split into chunks', () => {
    const texts = fc
      .array(fc.constantFrom('a', 'bc', '\r', '\n', '\r\n', 'é', ''), { maxLength: 40 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 5 }), (text, size) => {
        expect(linesOf(text, size)).toEqual(foldWhole(text));
      }),
    );
  });
});
