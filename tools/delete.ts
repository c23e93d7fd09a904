import * as z from 'zod';
import { configurationFile, confirmationToken, project, resourceName } from '../src/core/fields.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { refuse } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const deleteTool = defineTool({
  name: 'delete',
  title: 'Delete a fleet, instance, volume, gateway or finished run',
  description:
    "Delete a fleet, one instance of a fleet, a volume or a gateway, in two calls: the first, with `kind` and `name`, or with the `file` of it (the only way for a finished run), shows what would be lost and gives a token; the second, with `token` alone, deletes it. Only after the user's word.",
  effect: 'destroy',
  card: 'change',
  input: z.strictObject({
    kind: z.enum(['fleet', 'instance', 'volume', 'gateway']).optional(),
    name: resourceName.optional().describe('Name of the resource; of the fleet, for an instance'),
    file: configurationFile.optional().describe('A *.dstack.yml, instead of kind and name'),
    instance: z.int().min(0).optional().describe('Number of the instance in its fleet'),
    project,
    token: confirmationToken.optional(),
  }),
  facts: removalFacts,
  async run(input, { changes }) {
    const { token, ...others } = input;
    if (token !== undefined) {
      // What a token stands for was shown: nothing can be added to it.
      if (Object.values(others).some((value) => value !== undefined))
        refuse(
          'Give either `name` or `file` (preview) or `token` (delete it), not both.',
          'Call delete with the token alone.',
        );
      return changes.redeem(token, 'delete');
    }
    const { kind, name, instance, file } = input;
    if (file !== undefined) {
      if ([kind, name, instance].some((value) => value !== undefined))
        refuse('`file` says what it is by itself.', 'Give either `file`, or `kind` and `name`.');
      return changes.preview({ tool: 'delete', file, project: input.project });
    }
    if (kind === undefined || name === undefined) {
      refuse(
        'Without a `token`, both `kind` and `name` are needed, or a `file`.',
        'fleet, or list with `kind`, gives the names.',
      );
    }
    if ((kind === 'instance') !== (instance !== undefined)) {
      refuse(
        '`instance` goes with `kind: "instance"`, and only with it.',
        'The fleet tool shows the instances with their numbers.',
      );
    }
    return changes.preview({ tool: 'delete', kind, name, instance, project: input.project });
  },
});
