import { confirm, select, text } from '@clack/prompts';
import type { Asker } from './choose-settings.ts';
import { listClients, runSetup } from './setup-command.ts';
import type { ListOptions, SetupOptions, SetupOrder } from './setup-command.ts';

/** Runs `dstack-mcp setup`; returns the exit code. @throws ToolError with the next step; nothing was changed then */
export async function runSetupCommand(
  order: SetupOrder | 'list',
  options: Omit<SetupOptions, 'asker'> & ListOptions & { readonly isTerminal: boolean },
): Promise<number> {
  if (order === 'list') return listClients(options);
  return runSetup(order, { ...options, asker: options.isTerminal ? TERMINAL : undefined });
}

/** Asks the person at the terminal; a question that is interrupted counts as declined. */
const TERMINAL: Asker = {
  confirm: async (message) => (await confirm({ message, initialValue: false })) === true,
  folder: async (message, suggested) => answerOf(await text({ message, initialValue: suggested })),
  approval: async (message, choices) => answerOf(await select({ message, options: [...choices] })),
};

const answerOf = (answer: string | symbol): string | undefined => (typeof answer === 'string' ? answer : undefined);
