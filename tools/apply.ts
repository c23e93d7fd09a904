import * as z from 'zod';
import { confirmationToken } from '../src/core/fields.ts';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const apply = defineTool({
  name: 'apply',
  title: 'Apply a plan',
  description:
    'Execute a plan using its confirmation token: submit or update the run, create the fleet, volume or gateway. Call only after the user approves. Plans again first and refuses if anything changed. Returns immediately; follow with get and logs.',
  effect: 'change',
  input: z.strictObject({ token: confirmationToken }),
  facts: appliedFacts,
  run: (input, { changes }) => changes.redeem(input.token, 'apply'),
});
