import * as z from 'zod';
import { choiceFlags, choices, configurationFile, extraFlags, project, withChoices } from '../src/core/fields.ts';
import { changeFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const plan = defineTool({
  name: 'plan',
  title: 'Plan a configuration',
  description:
    'Run, train, fine-tune, deploy or serve on a GPU: a training job, Python script, Docker container, Jupyter notebook, dev environment, service or cluster. A dry run: shows what a dstack configuration would do and cost, and returns the token for apply.',
  effect: 'read',
  card: 'change',
  input: z.strictObject({
    file: configurationFile,
    ...choices,
    max_duration: z.string('a duration, for example "8h"').max(20).optional(),
    project,
    flags: extraFlags.describe('See help'),
  }),
  facts: changeFacts,
  run: (input, { changes }) =>
    changes.preview({
      tool: 'apply',
      file: input.file,
      project: input.project,
      extraFlags: withChoices(input.flags, { ...choiceFlags(input), '--max-duration': input.max_duration }),
    }),
});
