import * as z from 'zod';
import { confirmationToken, project, resourceName } from '../src/core/fields.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { refuse } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const stop = defineTool({
  name: 'stop',
  title: 'Stop a run',
  description:
    "Stop a run, in two calls: the first, with `run`, shows what would be stopped and gives a token; the second, with `token` alone, stops it. Only after the user's word. `abort` ends it without a clean shutdown.",
  effect: 'destroy',
  card: 'change',
  input: z.strictObject({
    run: resourceName.optional().describe('Name of the run, for the preview'),
    abort: z.boolean().optional(),
    project,
    token: confirmationToken.optional(),
  }),
  facts: removalFacts,
  async run(input, { changes }) {
    const { token, ...others } = input;
    if (token !== undefined) {
      // What a token stands for was shown: nothing can be added to it.
      if (Object.values(others).some((value) => value !== undefined))
        refuse('Give either `run` (preview) or `token` (stop it), not both.', 'Call stop with the token alone.');
      return changes.redeem(token, 'stop');
    }
    if (input.run === undefined)
      refuse('Neither `run` nor `token` was given.', 'Call stop with `run`; ps lists the runs.');
    return changes.preview({ tool: 'stop', run: input.run, abort: input.abort ?? false, project: input.project });
  },
});
