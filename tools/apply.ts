import * as z from 'zod';
import { confirmationToken } from '../src/core/fields.ts';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const apply = defineTool({
  name: 'apply',
  title: 'Apply a plan',
  description:
    'Start or submit the approved job, run, cluster or volume, using the confirmation token of its plan. Call only after the user approves. Refuses if anything changed. Returns immediately; follow with get and logs.',
  effect: 'change',
  input: z.strictObject({ token: confirmationToken }),
  facts: appliedFacts,
  run: (input, { changes }) => changes.redeem(input.token, 'apply'),
});
