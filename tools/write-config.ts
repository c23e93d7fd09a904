import * as z from 'zod';
import { configurationFile } from '../src/core/fields.ts';
import { refuse } from '../src/core/report.ts';
import { ownText } from '../src/core/transcript.ts';
import { defineTool } from '../src/tool/tool.ts';

/** Any YAML value. The schema lists its types because some hosts drop a tool, or all tools, if a property has no type. */
const anyValue = z.unknown().meta({
  anyOf: [
    ...['string', 'number', 'boolean', 'object'].map((type) => ({ type })),
    { type: 'array', items: { type: 'string' } },
  ],
});

const UNRECORDED = " Its last audit log entry couldn't be written.";

export const writeConfig = defineTool({
  name: 'write_config',
  title: 'Write a file',
  description:
    'Write, create or edit a YAML configuration file (*.dstack.yml): its whole text, or edits that keep comments. Writes only what dstack finds valid.',
  effect: 'change',
  input: z.strictObject({
    file: configurationFile,
    text: z.string().max(1_000_000).optional(),
    edits: z
      .array(
        z.strictObject({
          path: z.string().min(1).max(500),
          value: anyValue.optional(),
          rename: z.string().min(1).max(200).optional(),
        }),
      )
      .min(1)
      .max(100)
      .optional()
      .describe('{path:"resources.gpu", value}; neither value nor rename removes it'),
    undo: z.boolean().optional(),
    expected_hash: z.string().max(64).optional().describe('From config, for an existing file'),
  }),
  facts: z.object({
    problems: z.array(z.looseObject({ line: z.number() })),
    hash: z.string(),
    undo: z.looseObject({ how: z.string() }),
  }),
  async run(input, { config }) {
    const { file, text, edits, undo: isUndo = false, expected_hash: expectedHash } = input;
    if (isUndo) {
      if (text !== undefined || edits !== undefined)
        refuse('`undo` deletes a file that write_config created.', 'Pass it without `text` and `edits`.');
      const { unrecorded } = await config.deleteCreated({ file, expectedHash });
      return {
        outcome: 'done',
        summary: `${file}, which write_config had created, was deleted.${unrecorded ? UNRECORDED : ''}`,
        printed: [],
        facts: {},
      };
    }
    const written = await config.write({ file, text, edits, expectedHash });
    const { kind, checked, diff, hash, previous } = written;
    const printed = [
      ...(diff === '' ? [] : [{ transcript: ownText(diff) }]),
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
        next: 'Fix the problems listed, then write again.',
      };
    }
    if (kind === 'unchanged')
      return { outcome: 'nothing-to-do', summary: `${file} is unchanged.`, printed: [], facts: { hash } };
    const undo =
      previous === undefined
        ? {
            how: 'write_config with `undo` and this hash as expected_hash deletes it',
            call: { file, undo: true, expected_hash: hash },
          }
        : !written.isRepeatable
          ? {
              how: "The previous text is long, or has secrets or hidden characters, so it isn't repeated here: undo the change with `edits`.",
            }
          : {
              how: 'write_config with the previous text, and this hash as expected_hash',
              call: { file, text: previous.text, expected_hash: hash },
            };
    const unrecorded = written.unrecorded ? UNRECORDED : '';
    return {
      outcome: 'done',
      summary: `${file} was ${previous === undefined ? 'created' : 'changed'}, and dstack's parser finds it valid. Nothing was applied.${unrecorded}`,
      details: [`undo: ${undo.how}`],
      printed,
      facts: { problems, hash, undo },
      next: 'plan shows what applying it would do.',
    };
  },
});
