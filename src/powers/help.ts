import { showCommand } from '../cli/show-command.ts';
import type { Transcript } from '../cli/runner.ts';
import type { Engine } from '../engine.ts';

/** The installed CLI's own help page, as a transcript. @throws ToolError `unknown-command` with the documented ones. */
export async function readHelpPage(
  engine: Engine,
  command: string,
  configurationType: string | undefined,
): Promise<{ transcript: Transcript }> {
  const { catalogue } = await engine.cli();
  const words = command
    .trim()
    .replace(/^dstack(?:\s+|$)/, '')
    .split(/\s+/)
    .filter((word) => word !== '');
  const page = await catalogue.page(words.join(' '), configurationType);
  const argv = configurationType === undefined ? [...words, '--help'] : [...words, '-h', configurationType];
  return {
    transcript: {
      command: showCommand(argv),
      stdout: page.text,
      stderr: '',
      omittedBytes: 0,
      exit: { kind: 'exited', code: 0 },
      durationMs: 0,
      ran: 'plain',
    },
  };
}
