import * as z from 'zod';
import { configurationFile, project, resourceName } from '../src/core/fields.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { refuse } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const deleteTool = defineTool({
  name: 'delete',
  title: 'Preview a deletion',
  description:
    'Delete, remove or shut down a fleet, one instance (machine) of it, a volume, a gateway, or a finished run by its `file`. Previews what would be lost and returns the token for apply.',
  effect: 'read',
  card: 'change',
  input: z.strictObject({
    type: z.enum(['fleet', 'instance', 'volume', 'gateway']).optional(),
    name: resourceName.optional().describe('For an instance, of its fleet'),
    file: configurationFile.optional().describe('Instead of type and name'),
    instance: z.int().min(0).optional().describe('Its number in the fleet'),
    project,
  }),
  facts: removalFacts,
  async run({ type, name, instance, file, project: of }, { changes }) {
    if (file !== undefined) {
      if ([type, name, instance].some((value) => value !== undefined))
        refuse('`file` already says what to delete.', 'Pass either `file`, or `type` and `name`.');
      return changes.preview({ tool: 'delete', file, project: of });
    }
    if (type === undefined || name === undefined)
      refuse('delete needs `type` and `name`, or a `file`.', 'fleet, or list with `type`, returns the names.');
    if ((type === 'instance') !== (instance !== undefined))
      refuse(
        '`instance` is for `type: "instance"`, which requires it.',
        'fleet shows the instances with their numbers.',
      );
    return changes.preview({ tool: 'delete', kind: type, name, instance, project: of });
  },
});
