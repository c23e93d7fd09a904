import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { commandOf } from './experiments.ts';
import type { Experiment } from './experiments.ts';

/** Whether the arguments of an experiment ask for its options. What follows `--` is for the program that it runs. */
export function asksForHelp(args: readonly string[]): boolean {
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  return own.some((arg) => arg === '--help' || arg === '-h');
}

/** Returns an experiment's description and options: the comment of its script that shows how it is run. */
export async function readHelp(experiment: Experiment, root: string): Promise<string> {
  const command = commandOf(experiment);
  const script = command.find((part) => part.endsWith('.ts'));
  const text = script === undefined ? '' : await readFile(path.join(root, script), 'utf8');
  const comments = text.match(/(?:^\/\/.*\n)+/gm) ?? [];
  const usage = comments.find((comment) => comment.includes(`npm run lab -- ${experiment.name}`));
  return (
    usage?.replaceAll(/^\/\/ ?/gm, '').trimEnd() ??
    `${experiment.what}.\n  npm run lab -- ${experiment.name} [options of ${command.slice(0, 2).join(' ')}]`
  );
}
