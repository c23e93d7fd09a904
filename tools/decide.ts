import * as z from 'zod';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const decide = defineTool({
  name: 'decide',
  title: 'Approve or decline in the card',
  description: "The card's buttons: used only by the card UI, not callable by the model.",
  effect: 'destroy',
  card: 'buttons',
  input: z.strictObject({
    nonce: z.string().min(1).max(100),
    decision: z.enum(['approve', 'decline']),
    name: z.string().max(100).optional(),
  }),
  facts: appliedFacts,
  run: (input, { changes }) => changes.decide(input),
});
