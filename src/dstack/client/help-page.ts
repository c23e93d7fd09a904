import { showCommand } from '../argv/show-command.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { App } from '../../app.ts';

/** The installed CLI's own help page, as a transcript. @throws ToolError `unknown-command` with the documented ones. */
export async function readHelpPage(
  engine: App,
  command: string,
  configurationType: string | undefined,
): Promise<{ transcript: Transcript }> {
  const { catalog } = await engine.cli();
  const words = command
    .trim()
    .replace(/^dstack(?:\s+|$)/, '')
    .split(/\s+/)
    .filter((word) => word !== '');
  const page = await catalog.page(words.join(' '), configurationType);
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

export interface HelpService {
  /** The verbatim `--help` of a command. @throws ToolError `unknown-command` with the documented ones. */
  page(command: string, configurationType?: string): Promise<{ transcript: Transcript }>;
}
