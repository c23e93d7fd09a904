import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createBoundedOutput, createLineSplitter, toPrinted } from '../../../../src/dstack/run/collect-output.ts';

function keep(bytes: Uint8Array, cuts: readonly number[], keepBytes: number) {
  const kept = createBoundedOutput(keepBytes);
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  for (const [index, from] of at.entries()) kept.add(bytes.subarray(from, at[index + 1] ?? bytes.length));
  return kept.finish();
}

const text = fc.string({ unit: 'grapheme', maxLength: 400 });
const cuts = fc.array(fc.nat(), { maxLength: 30 });

test('output that fits is kept exactly, however it is split into chunks', () => {
  fc.assert(
    fc.property(text, cuts, (whole, at) => {
      expect(keep(Buffer.from(whole), at, 20_000)).toEqual({ text: whole, omittedBytes: 0 });
    }),
  );
});

test('longer output keeps its start and end in whole characters, and every byte is kept or counted', () => {
  fc.assert(
    fc.property(text, cuts, fc.integer({ min: 8, max: 60 }), (whole, at, keepBytes) => {
      const bytes = Buffer.from(whole);
      const { text: shown, omittedBytes } = keep(bytes, at, keepBytes);
      const [head = '', tail = ''] = shown.split(`\n[... ${omittedBytes} bytes left out here ...]\n`);
      fc.pre(omittedBytes > 0);
      expect(whole.startsWith(head)).toBe(true);
      expect(whole.endsWith(tail)).toBe(true);
      expect(Buffer.byteLength(head) + Buffer.byteLength(tail) + omittedBytes).toBe(bytes.length);
      expect(Buffer.byteLength(head) + Buffer.byteLength(tail)).toBeLessThanOrEqual(keepBytes);
    }),
  );
});

test('something is omitted exactly if the output exceeds the limit', () => {
  expect(keep(Buffer.from('x'.repeat(100)), [], 100).omittedBytes).toBe(0);
  expect(keep(Buffer.from('x'.repeat(101)), [], 100).omittedBytes).toBe(1);
  expect(keep(Buffer.from('x'.repeat(1_000_000)), [7, 500_000], 100).omittedBytes).toBe(999_900);
});

test('the lines of Windows end like those of other systems, and a lone carriage return stays', () => {
  const stdout = { text: 'a\r\nb\rc\r\n', omittedBytes: 2 };
  const stderr = { text: 'x\r\n', omittedBytes: 2 };
  expect(toPrinted(stdout, stderr, 'win32')).toEqual({ stdout: 'a\nb\rc\n', stderr: 'x\n', omittedBytes: 4 });
  expect(toPrinted(stdout, stderr, 'linux')).toEqual({ stdout: stdout.text, stderr: 'x\r\n', omittedBytes: 4 });
});

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
