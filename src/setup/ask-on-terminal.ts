import { confirm } from '@clack/prompts';

/** Asks the person at the terminal; no, and a question that is broken off, are both a no. */
export async function askOnTerminal(question: string): Promise<boolean> {
  return (await confirm({ message: question, initialValue: false })) === true;
}
