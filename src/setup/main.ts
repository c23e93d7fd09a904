import { confirm, isCancel, select, text } from '@clack/prompts';
import type { AskApproval } from './choose-settings.ts';
import { listClients, runSetup } from './setup-command.ts';
import type { ListOptions, SetupOptions, SetupOrder } from './setup-command.ts';

/** Runs `dstack-mcp setup`; returns the exit code. @throws ToolError with the next step; nothing was changed then */
export async function runSetupCommand(
  order: SetupOrder | 'list',
  options: Omit<SetupOptions, 'ask'> & ListOptions & { readonly isTerminal: boolean },
): Promise<number> {
  if (order === 'list') return listClients(options);
  return runSetup(order, {
    ...options,
    ask: options.isTerminal ? askOnTerminal : undefined,
    askFolder: options.isTerminal ? askFolderOnTerminal : undefined,
    askApproval: options.isTerminal ? askApprovalOnTerminal : undefined,
  });
}

/** Asks the person at the terminal; a question that is interrupted counts as declined. */
async function askOnTerminal(question: string): Promise<boolean> {
  return (await confirm({ message: question, initialValue: false })) === true;
}

async function askFolderOnTerminal(message: string, suggested: string): Promise<string | undefined> {
  const answer = await text({ message, initialValue: suggested });
  return isCancel(answer) ? undefined : answer;
}

const askApprovalOnTerminal: AskApproval = async (message, choices) => {
  const answer = await select({ message, options: [...choices] });
  return isCancel(answer) ? undefined : answer;
};
