import { array, assert, constantFrom, integer, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutText, trimLineEnds } from '../../../src/render/cut-text.ts';

const numbered = Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n');

describe('a cut text', () => {
  it('keeps whole lines at its start, and reports how many are missing and how to get them', () => {
    const cut = cutText(numbered, { maxChars: 50, keep: 'start', rest: 'use `last`' });
    expect(cut.text.split('\n').slice(0, -1)).toEqual(numbered.split('\n').slice(0, 7));
    expect(cut.text.split('\n').at(-1)).toBe(
      `[… 93 lines (${cut.omittedChars} characters) left out here; use \`last\` …]`,
    );
  });

  it('keeps whole lines at its end', () => {
    const cut = cutText(numbered, { maxChars: 50, keep: 'end' });
    expect(cut.text.split('\n').slice(1)).toEqual(numbered.split('\n').slice(-cut.text.split('\n').length + 1));
    expect(cut.text).toMatch(/^\[… 94 lines .* left out here …\]\nline 94\n/);
  });

  it('keeps both ends', () => {
    const { text } = cutText(numbered, { maxChars: 60, keep: 'both' });
    expect(text).toMatch(/^line 0\nline 1\n[\s\S]*\[… \d+ lines .*\]\n[\s\S]*line 98\nline 99$/);
  });

  it('is complete if it fits, without the padding at the ends of lines', () => {
    expect(cutText(' NAME   STATUS   \n web    running  \n', { maxChars: 100, keep: 'start' })).toEqual({
      text: ' NAME   STATUS\n web    running\n',
      omittedChars: 0,
    });
  });

  it('ends inside a single long line, but never inside a character', () => {
    const { text } = cutText('🚀'.repeat(50), { maxChars: 21, keep: 'both' });
    expect(text).toMatch(/^(?:🚀)+\n\[… 1 line .*\]\n(?:🚀)+$/u);
  });

  it('is never too long, and its kept and omitted parts add up to the whole', () => {
    const texts = array(string({ unit: 'grapheme', maxLength: 30 }), { maxLength: 40 });
    const sizes = integer({ min: 0, max: 200 });
    const ends = constantFrom('start' as const, 'end' as const, 'both' as const);
    assert(
      property(texts, sizes, ends, (lines, maxChars, keep) => {
        const whole = trimLineEnds(lines.join('\n'));
        const cut = cutText(whole, { maxChars, keep });
        const parts = cut.text.split(/\n?\[… \d+ lines? \(\d+ characters\) left out here …\]\n?/);
        const isCut = cut.text !== whole;
        const [start = '', end = ''] = isCut ? parts : [cut.text, ''];
        expect(isCut).toBe(whole.length > maxChars);
        expect(start.length + end.length).toBeLessThanOrEqual(maxChars);
        expect(whole.startsWith(start) && whole.endsWith(end)).toBe(true);
        // The line ends at both sides of the gap belong to neither.
        const atGap = whole.length - start.length - end.length - cut.omittedChars;
        expect([0, 1, 2]).toContain(atGap);
      }),
    );
  });
});
