import * as z from 'zod';
import { configurationFile, confirmationToken, project, resourceName } from '../src/core/fields.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { refuse } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const deleteTool = defineTool({
  name: 'delete',
  title: 'Delete a fleet, instance, volume, gateway or finished run',
  description:
    'Delete, remove or shut down a fleet, one instance (machine) of it, a volume, a gateway or a finished run in two calls: with `type` and `name`, or with `file` (the only way for a run), to preview what would be lost and get a token; after the user approves, with only `token`.',
  effect: 'destroy',
  card: 'change',
  input: z.strictObject({
    type: z.enum(['fleet', 'instance', 'volume', 'gateway']).optional(),
    name: resourceName.optional().describe('For an instance, of its fleet'),
    file: configurationFile.optional().describe('Instead of type and name'),
    instance: z.int().min(0).optional().describe('Its number in the fleet'),
    project,
    token: confirmationToken.optional(),
  }),
  facts: removalFacts,
  async run(input, { changes }) {
    const { token, ...others } = input;
    if (token !== undefined) {
      // The token covers what was previewed: nothing can be added to it.
      if (Object.values(others).some((value) => value !== undefined))
        refuse(
          'Pass either `name` or `file` (to preview) or `token` (to delete), not both.',
          'Call delete with only the token.',
        );
      return changes.redeem(token, 'delete');
    }
    const { type, name, instance, file } = input;
    if (file !== undefined) {
      if ([type, name, instance].some((value) => value !== undefined))
        refuse('`file` already says what to delete.', 'Pass either `file`, or `type` and `name`.');
      return changes.preview({ tool: 'delete', file, project: input.project });
    }
    if (type === undefined || name === undefined) {
      refuse(
        'Without a `token`, delete needs `type` and `name`, or a `file`.',
        'fleet, or list with `type`, returns the names.',
      );
    }
    if ((type === 'instance') !== (instance !== undefined)) {
      refuse(
        '`instance` is for `type: "instance"`, which requires it.',
        'fleet shows the instances with their numbers.',
      );
    }
    return changes.preview({ tool: 'delete', kind: type, name, instance, project: input.project });
  },
});
