import * as z from 'zod';
import { confirmationToken, project, resourceName } from '../src/core/fields.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { refuse } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const stop = defineTool({
  name: 'stop',
  title: 'Stop a run',
  description:
    'Stop, cancel, kill or terminate a run or job in two calls: with `run`, to preview and get a token; after the user approves, with only `token`. `abort` skips the graceful shutdown.',
  effect: 'destroy',
  card: 'change',
  input: z.strictObject({
    run: resourceName.optional().describe('Run name, for the preview'),
    abort: z.boolean().optional(),
    project,
    token: confirmationToken.optional(),
  }),
  facts: removalFacts,
  async run(input, { changes }) {
    const { token, ...others } = input;
    if (token !== undefined) {
      // The token covers what was previewed: nothing can be added to it.
      if (Object.values(others).some((value) => value !== undefined))
        refuse('Pass either `run` (to preview) or `token` (to stop), not both.', 'Call stop with only the token.');
      return changes.redeem(token, 'stop');
    }
    if (input.run === undefined) refuse('stop needs `run` or `token`.', 'Call stop with `run`; ps lists runs.');
    return changes.preview({ tool: 'stop', run: input.run, abort: input.abort ?? false, project: input.project });
  },
});
