import * as z from 'zod';
import { configurationFile } from '../src/core/fields.ts';
import { defineTool } from '../src/tool/tool.ts';

/** Any value of YAML. It is listed by its kinds, since hosts leave out a tool, or all of them, for a property without a type. */
const anyValue = z.unknown().meta({
  anyOf: [
    ...['string', 'number', 'boolean', 'object'].map((type) => ({ type })),
    { type: 'array', items: { type: 'string' } },
  ],
});

export const writeConfig = defineTool({
  name: 'write_config',
  title: 'Write a configuration file',
  description:
    'Create or change a *.dstack.yml by its whole text, or by edits that keep comments. Written only if dstack finds it valid; shows the diff.',
  effect: 'change',
  input: z.strictObject({
    file: configurationFile,
    text: z.string().max(1_000_000).optional(),
    edits: z
      .array(z.strictObject({ path: z.string().min(1).max(500), value: anyValue.optional() }))
      .min(1)
      .max(100)
      .optional()
      .describe('{path:"resources.gpu", value}; removed without value'),
    expected_hash: z.string().max(64).optional().describe('From config, for a file that exists'),
  }),
  facts: z.object({
    problems: z.array(z.looseObject({ line: z.number() })),
    hash: z.string(),
    undo: z.looseObject({ how: z.string() }),
  }),
  async run(input, { config }) {
    const { file, text, edits, expected_hash: expectedHash } = input;
    const written = await config.write({ file, text, edits, expectedHash });
    const { kind, checked, diff, hash, previous } = written;
    const show = (command: string, stdout: string) => ({ transcript: { ...checked.transcript, command, stdout } });
    const printed = [
      ...(diff === '' ? [] : [show(`diff ${file}`, diff)]),
      ...(checked.transcript.stdout === '' ? [] : [{ transcript: checked.transcript }]),
    ];
    const problems = checked.problems.map(({ position: { line, column }, path, fix }) => ({
      line,
      column,
      path,
      fix,
    }));
    if (kind === 'invalid') {
      return {
        outcome: 'blocked',
        summary: `Nothing was written: ${file} would be ${checked.verdict}.`,
        printed,
        facts: { problems },
        next: 'Mend the lines that are named, and write again.',
      };
    }
    if (kind === 'unchanged')
      return { outcome: 'nothing-to-do', summary: `${file} is so already.`, printed: [], facts: { hash } };
    const undo =
      previous === undefined
        ? { how: `Delete ${file}: it is new.` }
        : {
            how: 'write_config with the text before the diff, and this hash as expected_hash',
            call: { file, text: previous.text, expected_hash: hash },
          };
    const unrecorded = written.unrecorded ? " Its last line couldn't be written to the audit log." : '';
    return {
      outcome: 'done',
      summary: `${file} was ${previous === undefined ? 'created' : 'changed'}. Nothing was applied.${unrecorded}`,
      printed,
      facts: { problems, hash, undo },
      next: 'plan shows what applying it would do.',
    };
  },
});
