/** How a text is cut. */
export interface CutOptions {
  /** As many characters are kept at most; the line that says what was left out comes on top. */
  readonly maxChars: number;
  /** Which part matters: the start of a table, the end of a log, both ends of an unknown. */
  readonly keep: 'start' | 'end' | 'both';
  /** How the reader gets the rest, as in `use \`last\` for fewer runs`. */
  readonly rest?: string;
}

/** A text, whole or with a visible gap. */
export interface CutText {
  readonly text: string;
  /** Lines left out, a line that was cut in its middle counted as one. 0 where the text is whole. */
  readonly omittedLines: number;
  readonly omittedChars: number;
}

/** Without the spaces at the ends of lines: rich pads each line of a table to its full width, which says nothing and costs tokens. */
export function trimLineEnds(text: string): string {
  // Only from the start of a gap, or a long one in the middle of a line would be tried from each of its spaces.
  return text.replace(/(?<![ \t\r])[ \t\r]+$/gm, '');
}

const isLowSurrogate = (text: string, index: number): boolean => /[\uDC00-\uDFFF]/.test(text.charAt(index));

/** The length of the start that is kept: whole lines where at least one fits, else whole characters. */
function endOfStart(text: string, maxChars: number): number {
  if (maxChars <= 0) return 0;
  const lineEnd = text.lastIndexOf('\n', maxChars);
  if (lineEnd > 0) return lineEnd;
  return isLowSurrogate(text, maxChars) ? maxChars - 1 : maxChars;
}

/** Where the end that is kept begins: at a line where at least one fits, else at a character. */
function startOfEnd(text: string, maxChars: number): number {
  if (maxChars <= 0) return text.length;
  const from = text.length - maxChars;
  const lineEnd = text.indexOf('\n', from - 1);
  if (lineEnd !== -1 && lineEnd + 1 < text.length) return lineEnd + 1;
  return isLowSurrogate(text, from) ? from + 1 : from;
}

/** The first and the last index of the part that is left out. */
function findGap(text: string, { maxChars, keep }: CutOptions): { readonly from: number; readonly to: number } {
  switch (keep) {
    case 'start':
      return { from: endOfStart(text, maxChars), to: text.length };
    case 'end':
      return { from: 0, to: startOfEnd(text, maxChars) };
    case 'both':
      return { from: endOfStart(text, Math.ceil(maxChars / 2)), to: startOfEnd(text, Math.floor(maxChars / 2)) };
    default:
      return keep satisfies never;
  }
}

/** Words for a gap: how much is missing, and how to get it. */
function describeGap(omitted: { readonly lines: number; readonly chars: number }, rest?: string): string {
  const lines = omitted.lines === 1 ? '1 line' : `${omitted.lines} lines`;
  return `[… ${lines} (${omitted.chars} characters) left out here${rest === undefined ? '' : `; ${rest}`} …]`;
}

/** Cuts a text to a size, at line ends where it can, with a line that says what was left out. A text that fits is given back whole. */
export function cutText(text: string, options: CutOptions): CutText {
  const trimmed = trimLineEnds(text);
  if (trimmed.length <= options.maxChars) return { text: trimmed, omittedLines: 0, omittedChars: 0 };
  const { from, to } = findGap(trimmed, options);
  const gap = trimmed.slice(from, to).replace(/^\n|\n$/g, '');
  const omittedLines = gap.split('\n').length;
  const marker = describeGap({ lines: omittedLines, chars: gap.length }, options.rest);
  const parts = [trimmed.slice(0, from), marker, trimmed.slice(to)];
  return { text: parts.filter((part) => part !== '').join('\n'), omittedLines, omittedChars: gap.length };
}
