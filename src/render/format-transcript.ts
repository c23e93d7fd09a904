import type { Exit, Transcript } from '../core/transcript.ts';
import { maskOutput } from './mask-secrets.ts';
import { cleanBlock, cleanLine, cleanText } from './untrusted.ts';
import type { CleanText } from './untrusted.ts';
import { plural } from '../core/values.ts';

const MAX_COMMAND_CHARS = 4_000;

/** Puts a text between fences that the text can't close. */
export function fenceText(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = '`'.repeat(Math.max(3, longest + 1));
  return `${ticks}\n${text}\n${ticks}`;
}

/** Describes how a command ended; undefined for exit code 0. */
function describeExit(exit: Exit): string | undefined {
  switch (exit.kind) {
    case 'exited':
      return exit.code === 0 ? undefined : `(exit code ${exit.code})`;
    case 'signalled':
      return `(terminated by ${exit.signal})`;
    case 'timed-out':
      return exit.stillRunning
        ? '(not done within the time limit; it continues in the background)'
        : '(not done within the time limit; it was terminated)';
    case 'cancelled':
      return '(canceled)';
    case 'not-started':
      return `(not started: ${exit.reason})`;
    case 'lost':
      return `(lost: ${exit.reason})`;
    default:
      return exit satisfies never;
  }
}

/** Cleans and masks dstack's standard output and standard error, and joins them, labeling the latter. */
function joinStreams(transcript: Transcript, redact: (text: string) => string): CleanText {
  const omitted =
    transcript.omittedBytes === 0
      ? []
      : [`[… ${transcript.omittedBytes} bytes in the middle of this output were dropped …]`];
  const streams = [cleanText(transcript.stdout), cleanText(transcript.stderr)] as const;
  const [stdout, stderr] = streams.map(({ text }) => redact(maskOutput(text)).trimEnd());
  return {
    text: [...omitted, stdout, ...(stderr === '' ? [] : [`--- standard error ---\n${stderr}`])]
      .filter((part) => part !== '')
      .join('\n'),
    sequences: streams[0].sequences + streams[1].sequences,
    controls: streams[0].controls + streams[1].controls,
    invisibles: streams[0].invisibles + streams[1].invisibles,
  };
}

export interface FormatOptions extends CutOptions {
  /**
   * Masks secrets in clean text, which shows the same secrets as what a reader sees. Runs before the cut: half a secret wouldn't be
   * recognized.
   */
  readonly redact: (text: string) => string;
  /** Fences what is untrusted. Runs last, so that nothing in the output can remove a part of the fence. */
  readonly fence: (clean: CleanText) => string;
}

/** Formats a transcript: the command or the label, the verbatim output, and how it ended. */
export function formatTranscript(transcript: Transcript, { redact, fence, ...cut }: FormatOptions): CutText {
  const whole = joinStreams(transcript, redact);
  const printed = cutText(whole.text, cut);
  const end = describeExit(transcript.exit);
  const { command, label = '' } = transcript;
  const lines = [
    redact(cleanBlock(command === '' ? label : `$ ${command}`, MAX_COMMAND_CHARS)),
    fence({ ...whole, text: printed.text }),
    ...(end === undefined ? [] : [redact(cleanLine(end))]),
  ];
  return { ...printed, text: lines.filter((line) => line !== '').join('\n') };
}

export interface CutOptions {
  /** The maximum number of characters to keep, not counting the line that says what was left out. */
  readonly maxChars: number;
  /** The part to keep: the start of a table, the end of a log, both ends of anything else. */
  readonly keep: 'start' | 'end' | 'both';
  /** Says how to get the rest, as in `use \`last\` for fewer runs`. */
  readonly rest?: string | undefined;
}

/** A complete text, or one with a visible gap. */
export interface CutText {
  readonly text: string;
  /** 0 if the text is complete. */
  readonly omittedChars: number;
}

/** Removes spaces at the ends of lines: rich pads each line of a table to its full width, which only costs tokens. */
export function trimLineEnds(text: string): string {
  // Matches only from the start of a gap: otherwise a long gap inside a line would be tried from each of its spaces.
  return text.replace(/(?<![ \t\r])[ \t\r]+$/gm, '');
}

const isLowSurrogate = (text: string, index: number): boolean => /[\uDC00-\uDFFF]/.test(text.charAt(index));

/** Returns the length of the start to keep: whole lines if at least one fits, otherwise whole characters. */
function endOfStart(text: string, maxChars: number): number {
  if (maxChars <= 0) return 0;
  const lineEnd = text.lastIndexOf('\n', maxChars);
  if (lineEnd > 0) return lineEnd;
  return isLowSurrogate(text, maxChars) ? maxChars - 1 : maxChars;
}

/** Returns the index of the end to keep: the start of a line if at least one fits, otherwise of a character. */
function startOfEnd(text: string, maxChars: number): number {
  if (maxChars <= 0) return text.length;
  const from = text.length - maxChars;
  const lineEnd = text.indexOf('\n', from - 1);
  if (lineEnd !== -1 && lineEnd + 1 < text.length) return lineEnd + 1;
  return isLowSurrogate(text, from) ? from + 1 : from;
}

/** Returns the first and the last index of the part to leave out. */
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

/** Describes a gap: how much is missing, and how to get it. A partly omitted line counts as one. */
function describeGap(gap: string, rest?: string): string {
  const size = `${plural(gap.split('\n').length, 'line')} (${gap.length} characters)`;
  return `[… ${size} left out here${rest === undefined ? '' : `; ${rest}`} …]`;
}

/** Cuts a text to a size, at line ends if possible, and adds a line that says what was left out. Returns a text that fits unchanged. */
export function cutText(text: string, options: CutOptions): CutText {
  const trimmed = trimLineEnds(text);
  if (trimmed.length <= options.maxChars) return { text: trimmed, omittedChars: 0 };
  const { from, to } = findGap(trimmed, options);
  const gap = trimmed.slice(from, to).replace(/^\n|\n$/g, '');
  const marker = describeGap(gap, options.rest);
  const parts = [trimmed.slice(0, from), marker, trimmed.slice(to)];
  return { text: parts.filter((part) => part !== '').join('\n'), omittedChars: gap.length };
}
