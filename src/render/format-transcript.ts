import type { Exit, Transcript } from '../core/transcript.ts';
import { cutText } from './cut-text.ts';
import type { CutOptions, CutText } from './cut-text.ts';

/** A text between fences that nothing in it can close. */
export function fenceText(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = '`'.repeat(Math.max(3, longest + 1));
  return `${ticks}\n${text}\n${ticks}`;
}

/** How a command ended, where that isn't plain: nothing for exit code 0. */
function describeExit(exit: Exit): string | undefined {
  switch (exit.kind) {
    case 'exited':
      return exit.code === 0 ? undefined : `(exit code ${exit.code})`;
    case 'signalled':
      return `(ended by ${exit.signal})`;
    case 'timed-out':
      return exit.stillRunning
        ? '(not done within the time limit; it goes on in the background)'
        : '(not done within the time limit; it was ended)';
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

/** What dstack printed, with its standard error set apart, ready to be cut. */
function joinStreams(transcript: Transcript): string {
  const omitted =
    transcript.omittedBytes === 0
      ? []
      : [`[… ${transcript.omittedBytes} bytes in the middle of this output were not kept …]`];
  const stdout = transcript.stdout.trimEnd();
  const stderr = transcript.stderr.trimEnd();
  return [...omitted, stdout, ...(stderr === '' ? [] : [`--- standard error ---\n${stderr}`])]
    .filter((part) => part !== '')
    .join('\n');
}

/** How a transcript is treated on its way to the reader. */
export interface FormatOptions extends CutOptions {
  /** Masks secrets. It comes before the cut: half a secret wouldn't be recognised. */
  readonly redact: (text: string) => string;
  /** Fences the words of strangers. It comes after the cut, so that the fence stays whole. */
  readonly fence: (text: string) => string;
}

/** A transcript as it is shown, without fences: the command, what it printed word for word, and how it ended. */
export function formatTranscript(transcript: Transcript, { redact, fence, ...cut }: FormatOptions): CutText {
  const printed = cutText(redact(joinStreams(transcript)), cut);
  const end = describeExit(transcript.exit);
  const lines = [`$ ${transcript.command}`, fence(printed.text), ...(end === undefined ? [] : [end])];
  return { ...printed, text: lines.filter((line) => line !== '').join('\n') };
}
