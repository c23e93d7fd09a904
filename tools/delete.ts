import * as z from 'zod';
import { confirmationToken, project, resourceName } from '../src/fields.ts';
import { removalFacts } from '../src/powers/change-facts.ts';
import { defineTool, refuse } from '../src/tool.ts';

export const deleteTool = defineTool({
  name: 'delete',
  title: 'Delete a fleet, instance, volume or gateway',
  description:
    "Delete a fleet, one instance of a fleet, a volume or a gateway, in two calls: the first, with `kind` and `name`, shows what would be lost and gives a token; the second, with `token` alone, deletes it. Only after the user's word.",
  effect: 'destroy',
  input: z.strictObject({
    kind: z.enum(['fleet', 'instance', 'volume', 'gateway']).optional(),
    name: resourceName.optional().describe('Name of the resource; of the fleet, for an instance'),
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
        refuse('Give either `name` (preview) or `token` (delete it), not both.', 'Call delete with the token alone.');
      return changes.redeem(token, 'delete');
    }
    const { kind, name, instance } = input;
    if (kind === undefined || name === undefined) {
      refuse('Without a `token`, both `kind` and `name` are needed.', 'fleet, or list with `kind`, gives the names.');
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
