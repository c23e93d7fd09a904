import * as z from 'zod';
import type { ConfigurationService } from '../src/configuration/configuration-service.ts';
import { plural } from '../src/core/values.ts';
import { refuse, WHOLE_CHARS } from '../src/core/report.ts';
import { ownText } from '../src/core/transcript.ts';
import { defineTool } from '../src/tool/tool.ts';

export const config = defineTool({
  name: 'config',
  title: 'Check configurations',
  description:
    "Check and validate YAML configuration (*.dstack.yml, profiles.yml or text) with dstack's own parser. Describe a type or property (`service.scaling`); never guess YAML keys. Start from a commented example. Find and read files.",
  effect: 'read',
  input: z.strictObject({
    action: z.enum(['validate', 'describe', 'schema', 'start', 'find', 'read']),
    file: z.string().min(1).max(4096).optional(),
    text: z.string().max(1_000_000).optional(),
    property: z.string().min(1).max(200).optional().describe('Or type'),
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
  async run(input, { config: service }) {
    const { action, file, property } = input;
    switch (action) {
      case 'validate':
        return validate(service, input);
      case 'describe':
        return describe(service, property);
      case 'schema': {
        const transcript = await service.schema(property ?? refuseWithout('schema', 'property', 'task'));
        return {
          outcome: 'done',
          summary: `Schema of ${property}.`,
          printed: [{ transcript, maxChars: WHOLE_CHARS }],
          facts: {},
        };
      }
      case 'start':
        return start(service, property ?? refuseWithout('start', 'property', 'task'));
      case 'find':
        return find(service);
      case 'read':
        return read(service, file ?? refuseWithout('read', 'file', 'train.dstack.yml'));
      default:
        return action satisfies never;
    }
  },
});

const refuseWithout = (action: string, field: string, example: string): never =>
  refuse(`${action} needs \`${field}\`.`, `For example, ${field}: "${example}".`);

async function describe(service: ConfigurationService, property: string | undefined) {
  const transcript = await service.describe(property);
  return {
    outcome: 'done' as const,
    summary: property === undefined ? 'Configuration types of the installed dstack.' : `Reference of ${property}.`,
    printed: [{ transcript, maxChars: WHOLE_CHARS }],
    facts: property === undefined ? { types: [...(await service.types())] } : {},
  };
}

async function find(service: ConfigurationService) {
  const files = [...(await service.find())];
  const lines = files.map(({ path, type, name }) => `${path}: ${type}${name === '' ? '' : ` ${name}`}`);
  return {
    outcome: 'done' as const,
    summary: `${plural(files.length, 'configuration file')}.`,
    details: lines,
    printed: [],
    facts: { files },
  };
}

async function read(service: ConfigurationService, file: string) {
  const { text, note, hash } = await service.readMasked(file);
  return {
    outcome: 'done' as const,
    summary: `Content of ${file}.${note === '' ? '' : ` ${note}`}`,
    printed: [{ transcript: ownText(text), maxChars: WHOLE_CHARS }],
    facts: { hash },
  };
}

async function start(service: ConfigurationService, type: string) {
  const { text, checked } = await service.start(type);
  return {
    outcome: 'done' as const,
    summary: `Starter file for ${type}; dstack's parser finds it ${checked.verdict}. Nothing was written.`,
    printed: [{ transcript: ownText(text) }],
    facts: { verdict: checked.verdict },
    next:
      type === 'profiles'
        ? 'Replace the values marked EXAMPLE, and have the user save it as .dstack/profiles.yml.'
        : 'Replace the values marked EXAMPLE, then write it with write_config.',
  };
}

async function validate(
  service: ConfigurationService,
  { file, text }: { file?: string | undefined; text?: string | undefined },
) {
  if ((file === undefined) === (text === undefined))
    refuse('validate needs `file` or `text`.', 'Pass exactly one of them.');
  const shownPath = file ?? 'text';
  const read = text === undefined ? await service.read(file ?? '') : undefined;
  const checked = await service.check({ text: read?.text ?? text ?? '', shownPath, folder: read?.folder });
  const { verdict, problems, advice, unsetVariables, transcript } = checked;
  const isValid = verdict === 'valid';
  const summary = [
    isValid
      ? `${shownPath} is valid.`
      : `${shownPath} is ${verdict}: ${plural(problems.length + checked.omitted, 'problem')}.`,
    ...(advice.length === 0 ? [] : [`Advice: ${advice.length}.`]),
    ...(unsetVariables.length === 0 ? [] : [`Set these variables before applying: ${unsetVariables.join(', ')}.`]),
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
      hash: read?.hash,
    },
    next: isValid ? 'plan shows what applying it would do.' : 'Fix the problems listed, then validate again.',
  };
}
