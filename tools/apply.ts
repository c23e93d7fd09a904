import * as z from 'zod';
import { confirmationToken } from '../src/core/fields.ts';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const apply = defineTool({
  name: 'apply',
  title: 'Apply a plan',
  description:
    "Do what plan showed, exactly that, with its token: submit or update the run, create the fleet, volume or gateway. Only after the user's word. Plans again first and refuses if anything changed. Returns at once; follow with get and logs.",
  effect: 'change',
  input: z.strictObject({ token: confirmationToken }),
  facts: appliedFacts,
  run: (input, { changes }) => changes.redeem(input.token, 'apply'),
});
