import * as z from 'zod';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const decide = defineTool({
  name: 'decide',
  title: 'Approve or decline in the card',
  description: "The card's buttons. Hosts offer them to the card, not to the model.",
  effect: 'change',
  card: 'buttons',
  input: z.strictObject({
    nonce: z.string().min(1).max(100),
    decision: z.enum(['approve', 'decline', 'shown']).describe('shown: the page is on the screen'),
    name: z.string().max(100).optional(),
  }),
  facts: appliedFacts,
  run: async ({ nonce, decision, name }, { changes }) =>
    decision === 'shown' ? changes.cardShown(nonce) : changes.decide({ nonce, decision, name }),
});
