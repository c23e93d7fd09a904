import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBoundedOutput, toPrinted } from '../../../../src/dstack/run/collect-output.ts';

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
