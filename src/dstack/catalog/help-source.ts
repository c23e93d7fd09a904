import { ToolError } from '../../core/errors.ts';
import { checkHelpArgv } from '../argv/check-argv.ts';
import type { Runner } from '../run/runner.ts';
import type { HelpTexts } from '../warm/introspection.ts';

/** Where help pages come from. */
export interface HelpSource {
  /**
   * The text of `dstack <command> --help`, or of `dstack <command> -h <type>`.
   * @throws ToolError `unknown-command` when dstack doesn't know the words.
   */
  read(command: string, configurationType?: string): Promise<string>;
  /** Pages that came along unasked so far, by the words that they would be asked for with (`ps`, `apply -h task`). */
  prefetchedPages?(): Readonly<Record<string, string>>;
}

export interface HelpSourceOptions {
  readonly runner: Pick<Runner, 'read'>;
  /** A working directory in which nothing of the user's is read. */
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** argparse's exit code for words that it doesn't know. */
const USAGE_ERROR = 2;

/** Reads help pages through a runner: the plain process, or the warm worker. */
export function createHelpSource({ runner, cwd, timeoutMs = 30_000 }: HelpSourceOptions): HelpSource {
  return {
    async read(command, configurationType) {
      const argv = checkHelpArgv(command, configurationType);
      const {
        command: shown,
        exit,
        stdout,
        stderr,
      } = await runner.read(argv, { timeoutMs, ...(cwd === undefined ? {} : { cwd }) });
      if (exit.kind === 'exited' && exit.code === 0) return stdout;
      const tail = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join('\n');
      if (exit.kind === 'exited' && exit.code === USAGE_ERROR)
        throw new ToolError('unknown-command', tail, 'Ask for `help` to see the documented commands.');
      const hint = `Run \`${shown}\` in a terminal: it shows what is wrong with the installation.`;
      if (exit.kind === 'timed-out')
        throw new ToolError(
          'timed-out',
          `\`${shown}\` didn't end within ${timeoutMs / 1000} s. Nothing was changed.`,
          hint,
        );
      if (exit.kind === 'cancelled')
        throw new ToolError('cancelled', `\`${shown}\` was cancelled. Nothing was changed.`, 'Call again.');
      if (exit.kind === 'not-started')
        throw new ToolError(
          'cli-not-found',
          `\`${shown}\` couldn't be started: ${exit.reason}`,
          'See the `doctor` tool.',
        );
      throw new ToolError('cli-not-understood', `\`${shown}\` failed, so its flags aren't known: ${tail}`, hint);
    },
  };
}

export interface WholeHelpSourceOptions {
  /** All pages at once, from dstack's own interpreter; undefined where it can't be asked. */
  readonly helpTexts: () => Promise<HelpTexts | undefined>;
  /** Asked where the other has no answer: a command under another name, or one that there isn't. */
  readonly fallback: HelpSource;
}

/** Reads all help pages with one question: sixty commands, each of which would cost a second. */
export function createWholeHelpSource({ helpTexts, fallback }: WholeHelpSourceOptions): HelpSource {
  let reading: Promise<HelpTexts | undefined> | undefined;
  let all: HelpTexts['help'] = {};
  return {
    async read(command, configurationType) {
      reading ??= helpTexts().catch(() => undefined);
      const texts = await reading;
      if (texts === undefined) reading = undefined;
      else all = texts.help;
      const page = texts?.help[configurationType === undefined ? command : `${command} -h ${configurationType}`];
      return page ?? fallback.read(command, configurationType);
    },
    prefetchedPages: () => all,
  };
}
