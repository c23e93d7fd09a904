import { askOnTerminal } from './ask-on-terminal.ts';
import { runSetup } from './setup-command.ts';
import type { SetupCommandOptions } from './setup-command.ts';
import { readSetupLine } from './setup-line.ts';
import type { SettingName } from './setup-line.ts';

export interface SetupOptions extends Omit<SetupCommandOptions, 'ask'> {
  readonly settings: readonly SettingName[];
  /** Throws for values that the server would not start with. */
  readonly checkSettings: (env: Readonly<Record<string, string>>) => void;
  readonly help: () => string;
  /** Whether there is a person to ask. */
  readonly isTerminal: boolean;
}

/** `dstack-mcp setup …`: gives the exit code. @throws ToolError with the next step; nothing was changed then */
export async function runSetupCommand(argv: readonly string[], options: SetupOptions): Promise<number> {
  const line = readSetupLine(argv, options.settings);
  if (line.kind === 'help') {
    options.print(options.help());
    return 0;
  }
  if (line.kind === 'setup') options.checkSettings(line.settings);
  return runSetup(line, { ...options, ask: options.isTerminal ? askOnTerminal : undefined });
}
