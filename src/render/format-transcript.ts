import type { Exit, Transcript } from '../core/transcript.ts';
import { cutText } from './cut-text.ts';
import type { CutOptions, CutText } from './cut-text.ts';
import { maskOutput } from './mask-places.ts';
import { cleanBlock, cleanLine } from './untrusted.ts';

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

/** Joins dstack's standard output and standard error, labeling the latter. */
function joinStreams(transcript: Transcript): string {
  const omitted =
    transcript.omittedBytes === 0
      ? []
      : [`[… ${transcript.omittedBytes} bytes in the middle of this output were dropped …]`];
  const stdout = maskOutput(transcript.stdout).trimEnd();
  const stderr = maskOutput(transcript.stderr).trimEnd();
  return [...omitted, stdout, ...(stderr === '' ? [] : [`--- standard error ---\n${stderr}`])]
    .filter((part) => part !== '')
    .join('\n');
}

/** Options for formatting a transcript. */
export interface FormatOptions extends CutOptions {
  /** Masks secrets. Runs before the cut: half a secret wouldn't be recognized. */
  readonly redact: (text: string) => string;
  /** Cleans the output, and fences what is untrusted. Runs after the cut, so that the fence stays complete. */
  readonly fence: (text: string) => string;
}

/** Formats a transcript: the command, its verbatim output, and how it ended. */
export function formatTranscript(transcript: Transcript, { redact, fence, ...cut }: FormatOptions): CutText {
  const printed = cutText(redact(joinStreams(transcript)), cut);
  const end = describeExit(transcript.exit);
  const lines = [
    `$ ${cleanBlock(transcript.command, MAX_COMMAND_CHARS)}`,
    fence(printed.text),
    ...(end === undefined ? [] : [cleanLine(end)]),
  ];
  return { ...printed, text: lines.filter((line) => line !== '').join('\n') };
}
