import * as z from 'zod';
import type { ConfigPower } from '../src/powers/config-power.ts';
import { defineTool, refuse } from '../src/tool.ts';

export const config = defineTool({
  name: 'config',
  title: 'Check and describe configuration files',
  description:
    "Validate a *.dstack.yml file or text by dstack's own parser, every problem with its line and mend, and advice. Describe a type or property (`task`, `service.scaling`): values, default, example; never guess YAML keys. Find the workspace's files.",
  effect: 'read',
  input: z.strictObject({
    action: z.enum(['validate', 'describe', 'find']),
    file: z.string().min(1).max(4096).optional(),
    text: z.string().max(10_000_000).optional(),
    property: z.string().min(1).max(200).optional(),
  }),
  facts: z.object({
    verdict: z.string(),
    problems: z.array(z.looseObject({ line: z.number(), column: z.number(), path: z.string(), mend: z.string() })),
    advice: z.array(z.looseObject({ line: z.number(), id: z.string() })),
    unsetVariables: z.array(z.string()),
    hash: z.string().describe('For write_config'),
    files: z.array(z.object({ path: z.string(), type: z.string(), name: z.string() })),
  }),
  async run(input, { config: power }) {
    switch (input.action) {
      case 'validate':
        return validate(power, input);
      case 'describe': {
        if (input.property === undefined)
          refuse('describe needs `property`.', 'Name a type or a property: task.resources.');
        const transcript = await power.describe(input.property);
        return { outcome: 'done', summary: `Reference of ${input.property}.`, printed: [{ transcript }], facts: {} };
      }
      case 'find': {
        const files = [...(await power.find())];
        const lines = files.map(({ path, type, name }) => `${path}: ${type}${name === '' ? '' : ` ${name}`}`);
        return {
          outcome: 'done',
          summary: [`${files.length} configuration file${files.length === 1 ? '' : 's'}.`, ...lines].join('\n'),
          printed: [],
          facts: { files },
        };
      }
      default:
        return input.action satisfies never;
    }
  },
});

async function validate(power: ConfigPower, { file, text }: { file?: string | undefined; text?: string | undefined }) {
  if ((file === undefined) === (text === undefined)) refuse('validate needs `file` or `text`.', 'Give one of the two.');
  const read = text === undefined ? await power.read(file ?? '') : { text, hash: undefined };
  const shown = file ?? 'text';
  const { verdict, problems, advice, unsetVariables, transcript } = await power.check(read.text, shown);
  const count = `${problems.length} problem${problems.length === 1 ? '' : 's'}`;
  const unset =
    unsetVariables.length === 0 ? [] : [`Set before applying, nobody sets them: ${unsetVariables.join(', ')}.`];
  return {
    outcome: verdict === 'valid' ? ('done' as const) : ('blocked' as const),
    summary: [
      verdict === 'valid' ? `${shown} is valid.` : `${shown} is ${verdict}: ${count}.`,
      ...(advice.length === 0 ? [] : [`${advice.length} piece${advice.length === 1 ? '' : 's'} of advice.`]),
      ...unset,
    ].join(' '),
    printed: transcript.stdout === '' ? [] : [{ transcript }],
    facts: {
      verdict,
      problems: problems.map(({ position, path, mend, dstack }) => ({
        line: position.line,
        column: position.column,
        path,
        mend,
        ...(dstack === undefined ? {} : { dstack }),
      })),
      advice: advice.map(({ line, id, how }) => ({ line, id, how })),
      unsetVariables: [...unsetVariables],
      ...(read.hash === undefined ? {} : { hash: read.hash }),
    },
    ...(verdict === 'valid'
      ? { next: 'plan shows what applying it would do.' }
      : { next: 'Mend the lines that are named, then validate again.' }),
  };
}
