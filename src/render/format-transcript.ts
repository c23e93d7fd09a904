import type { Exit, Transcript } from '../core/transcript.ts';
import { cutText } from './cut-text.ts';
import type { CutOptions, CutText } from './cut-text.ts';
import { maskOutput } from './mask-places.ts';
import { cleanBlock, cleanLine, cleanText } from './untrusted.ts';
import type { CleanText } from './untrusted.ts';

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
      return '(cancelled)';
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

/** Options for formatting a transcript. */
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
