import { ToolError } from '../errors.ts';
import type { Transcript } from './runner.ts';

/** What the CLI prints to its standard output before its answer, once a day or when something is deprecated. */
const NOTICES = [/^A new version of dstack is available: \S+\s*$/, /^\s*$/];

/**
 * The JSON value that a command printed, after the notices that the CLI is known to put before it.
 * @throws ToolError `cli-not-understood` when there is anything else, or the output wasn't kept whole.
 */
export function parseJsonOutput(transcript: Pick<Transcript, 'command' | 'stdout' | 'omittedBytes'>): unknown {
  const { command, stdout, omittedBytes } = transcript;
  if (omittedBytes > 0) {
    throw new ToolError(
      'cli-not-understood',
      `\`${command}\` printed more than this server keeps (${omittedBytes} bytes too many).`,
      'Ask for less.',
    );
  }
  const lines = stdout.split('\n');
  const start = lines.findIndex((line) => !NOTICES.some((notice) => notice.test(line)));
  try {
    return JSON.parse(lines.slice(start === -1 ? lines.length : start).join('\n'));
  } catch (error) {
    const seen = stdout.trim().slice(0, 300);
    throw new ToolError(
      'cli-not-understood',
      `\`${command}\` printed no JSON: ${seen === '' ? 'nothing' : seen}`,
      'Run it in a terminal to see what it says.',
      { cause: error },
    );
  }
}
