import { ToolError } from '../../core/errors.ts';
import { checkHelpArgv } from '../argv/check-argv.ts';
import type { Runner } from '../run/runner.ts';
import type { HelpTexts } from '../warm/introspection.ts';

/** A page of help, and the pages that were read with it, by their words (`ps`, `apply -h task`). */
export interface HelpText {
  readonly text: string;
  readonly others?: Readonly<Record<string, string>>;
}

/** A source of help pages. */
export interface HelpSource {
  /**
   * Returns the output of `dstack <command> --help`, or of `dstack <command> -h <type>`.
   * @throws ToolError `unknown-command` if dstack doesn't know the command.
   */
  read(command: string, configurationType?: string): Promise<HelpText>;
}

export interface HelpSourceOptions {
  readonly runner: Pick<Runner, 'read'>;
}

const TIMEOUT_MS = 30_000;

/** argparse's exit code for unknown arguments. */
const USAGE_ERROR = 2;

/** Creates a source that reads each page through a runner. */
export function createHelpSource({ runner }: HelpSourceOptions): HelpSource {
  return {
    async read(command, configurationType) {
      const argv = checkHelpArgv(command, configurationType);
      const { command: shown, exit, stdout, stderr } = await runner.read(argv, { timeoutMs: TIMEOUT_MS });
      if (exit.kind === 'exited' && exit.code === 0) return { text: stdout };
      const tail = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join('\n');
      if (exit.kind === 'exited' && exit.code === USAGE_ERROR)
        throw new ToolError('unknown-command', tail, 'Use help to see the documented commands.');
      const hint = `Run \`${shown}\` in a terminal to see what is wrong with the installation.`;
      if (exit.kind === 'timed-out')
        throw new ToolError(
          'timed-out',
          `\`${shown}\` didn't finish within ${TIMEOUT_MS / 1000} s. Nothing was changed.`,
          hint,
        );
      if (exit.kind === 'cancelled')
        throw new ToolError('cancelled', `\`${shown}\` was cancelled. Nothing was changed.`, 'Call again.');
      if (exit.kind === 'not-started')
        throw new ToolError('cli-not-found', `\`${shown}\` couldn't be started: ${exit.reason}`, 'Check with doctor.');
      throw new ToolError(
        'cli-not-understood',
        `\`${shown}\` failed, so the flags of the command are unknown: ${tail}`,
        hint,
      );
    },
  };
}

export interface WholeHelpSourceOptions {
  /** Returns all pages at once, from dstack's own interpreter; undefined if that isn't possible. */
  readonly helpTexts: () => Promise<HelpTexts | undefined>;
  /** The source for other pages: a command by an alias, or one that doesn't exist. */
  readonly fallback: HelpSource;
}

/** Creates a source that reads all help pages at once: sixty commands, each of which would take a second. */
export function createWholeHelpSource({ helpTexts, fallback }: WholeHelpSourceOptions): HelpSource {
  let reading: Promise<HelpTexts | undefined> | undefined;
  return {
    async read(command, configurationType) {
      reading ??= helpTexts().catch(() => undefined);
      const texts = await reading;
      if (texts === undefined) reading = undefined;
      const others = texts?.help ?? {};
      const text = others[configurationType === undefined ? command : `${command} -h ${configurationType}`];
      return { text: text ?? (await fallback.read(command, configurationType)).text, others };
    },
  };
}
