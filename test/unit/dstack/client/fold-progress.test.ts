import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { foldProgress } from '../../../../src/dstack/output/fold-progress.ts';
import { createLineSplitter } from '../../../../src/dstack/output/split-lines.ts';

describe('folding progress', () => {
  test('keeps the last state of a bar', () => {
    expect(foldProgress('before\n 0%|  |\r50%|# |\r100%|##|\nafter\n')).toBe('before\n100%|##|\nafter\n');
  });

  test('leaves Windows line ends and plain text alone', () => {
    expect(foldProgress('a\r\nb\r\n')).toBe('a\nb\n');
    expect(foldProgress('a\nb')).toBe('a\nb');
  });

  test('keeps a bar that ends with a return', () => {
    expect(foldProgress('50%\r100%\r\n')).toBe('100%\n');
    expect(foldProgress('50%\r100%\r')).toBe('100%');
  });

  test('gives the same line by line, however the text is cut into chunks', () => {
    const texts = fc
      .array(fc.constantFrom('a', 'bc', '\r', '\n', '\r\n', 'é', ''), { maxLength: 40 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 5 }), (text, size) => {
        const lines: string[] = [];
        const splitter = createLineSplitter((line) => lines.push(line.text));
        const bytes = Buffer.from(text);
        for (let start = 0; start < bytes.length; start += size) splitter.write(bytes.subarray(start, start + size));
        splitter.end();
        const expected = foldProgress(text).split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(lines).toEqual(expected);
      }),
    );
  });
});
