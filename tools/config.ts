import * as z from 'zod';
import type { ConfigurationService } from '../src/configuration/configuration-service.ts';
import { refuse } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const config = defineTool({
  name: 'config',
  title: 'Check and begin configurations',
  description:
    "Validate a *.dstack.yml, profiles.yml or text by dstack's own parser: every problem with line and fix, and advice. Describe a type or property (`task`, `service.scaling`); never guess YAML keys. Start a file of a type. Find and read files.",
  effect: 'read',
  input: z.strictObject({
    action: z.enum(['validate', 'describe', 'schema', 'start', 'find', 'read']),
    file: z.string().min(1).max(4096).optional(),
    text: z.string().max(10_000_000).optional(),
    property: z.string().min(1).max(200).optional().describe('Or type'),
    need: z.string().min(1).max(1000).optional().describe('"gpu A100:2 model org/m port 8000"'),
  }),
  facts: z.object({
    verdict: z.string(),
    problems: z.array(z.looseObject({ line: z.number(), column: z.number(), path: z.string(), fix: z.string() })),
    advice: z.array(z.looseObject({ line: z.number(), id: z.string() })),
    unsetVariables: z.array(z.string()),
    hash: z.string(),
    files: z.array(z.object({ path: z.string(), type: z.string(), name: z.string() })),
    types: z.array(z.string()),
  }),
  async run(input, { config: power }) {
    const { action, file, property } = input;
    switch (action) {
      case 'validate':
        return validate(power, input);
      case 'describe':
        return describe(power, property);
      case 'schema': {
        const transcript = await power.schema(property ?? refuseWithout('schema', 'property', 'task'));
        return { outcome: 'done', summary: `Schema of ${property}.`, printed: [{ transcript }], facts: {} };
      }
      case 'start':
        return start(power, property ?? refuseWithout('start', 'property', 'task'), input.need ?? '');
      case 'find':
        return find(power);
      case 'read':
        return read(power, file ?? refuseWithout('read', 'file', 'train.dstack.yml'));
      default:
        return action satisfies never;
    }
  },
});

const refuseWithout = (action: string, field: string, example: string): never =>
  refuse(`${action} needs \`${field}\`.`, `As in ${field}: "${example}".`);

const count = (things: readonly unknown[], name: string): string =>
  `${things.length} ${name}${things.length === 1 ? '' : 's'}`;

async function describe(power: ConfigurationService, property: string | undefined) {
  const transcript = await power.describe(property);
  return {
    outcome: 'done' as const,
    summary: property === undefined ? 'The types that dstack knows.' : `Reference of ${property}.`,
    printed: [{ transcript }],
    facts: property === undefined ? { types: [...(await power.types())] } : {},
  };
}

async function find(power: ConfigurationService) {
  const files = [...(await power.find())];
  const lines = files.map(({ path, type, name }) => `${path}: ${type}${name === '' ? '' : ` ${name}`}`);
  return {
    outcome: 'done' as const,
    summary: [`${count(files, 'configuration file')}.`, ...lines].join('\n'),
    printed: [],
    facts: { files },
  };
}

async function read(power: ConfigurationService, file: string) {
  const { text, hash } = await power.read(file);
  return {
    outcome: 'done' as const,
    summary: `${file}, as it is.`,
    printed: [{ transcript: power.show(`read ${file}`, text) }],
    facts: { hash },
  };
}

async function start(power: ConfigurationService, type: string, need: string) {
  const { text, unused, examples, checked } = await power.start(type, need);
  const summary = [
    `A ${type} to begin with; dstack finds it ${checked.verdict}. Nothing was written.`,
    ...(unused.length === 0 ? [] : [`Not used: ${unused.join(', ')}.`]),
    ...(examples.length === 0 ? [] : [`Examples to replace: ${examples.join(', ')}.`]),
  ];
  return {
    outcome: 'done' as const,
    summary: summary.join(' '),
    printed: [{ transcript: power.show(`start ${type}`, text) }],
    facts: { verdict: checked.verdict },
    next: 'Change what has to be, then write it with write_config.',
  };
}

async function validate(
  power: ConfigurationService,
  { file, text }: { file?: string | undefined; text?: string | undefined },
) {
  if ((file === undefined) === (text === undefined)) refuse('validate needs `file` or `text`.', 'Give one of the two.');
  const shownPath = file ?? 'text';
  const read = text === undefined ? await power.read(file ?? '') : undefined;
  const checked = await power.check({ text: read?.text ?? text ?? '', shownPath, folder: read?.folder });
  const { verdict, problems, advice, unsetVariables, transcript } = checked;
  const isValid = verdict === 'valid';
  const summary = [
    isValid ? `${shownPath} is valid.` : `${shownPath} is ${verdict}: ${count(problems, 'problem')}.`,
    ...(advice.length === 0 ? [] : [`Advice: ${advice.length}.`]),
    ...(unsetVariables.length === 0 ? [] : [`Set before applying, nobody sets them: ${unsetVariables.join(', ')}.`]),
  ];
  return {
    outcome: isValid ? ('done' as const) : ('blocked' as const),
    summary: summary.join(' '),
    printed: transcript.stdout === '' ? [] : [{ transcript }],
    facts: {
      verdict,
      problems: problems.map(({ position: { line, column }, path, fix, dstack }) => ({
        line,
        column,
        path,
        fix,
        ...(dstack === undefined ? {} : { dstack }),
      })),
      advice: advice.map(({ line, id, how }) => ({ line, id, how })),
      unsetVariables: [...unsetVariables],
      ...(read === undefined ? {} : { hash: read.hash }),
    },
    next: isValid ? 'plan shows what applying it would do.' : 'Mend the lines that are named, then validate again.',
  };
}
