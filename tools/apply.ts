import * as z from 'zod';
import { confirmationToken, nextState } from '../src/core/fields.ts';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { isRunType } from '../src/core/run-state.ts';
import { defineTool } from '../src/tool/tool.ts';

export const apply = defineTool({
  name: 'apply',
  title: 'Apply a change',
  description:
    'Start or submit the approved job, run, cluster or volume, or carry out an approved stop or delete, using the token of its plan. Call only after the user approves, or asked for it within limits that they named.',
  effect: 'destroy',
  input: z.strictObject({
    token: confirmationToken,
    wait_for: nextState,
  }),
  facts: z.object({ ...appliedFacts.shape, reached: z.boolean() }),
  async run({ token, wait_for: wanted }, context) {
    const applied = await context.changes.redeem(token);
    if (wanted === undefined || 'kind' in applied) return applied;
    const { outcome, facts, summary } = applied;
    const { name, kind } = facts.resource ?? {};
    // Called again with the same token, it continues to wait: the change itself isn't made again.
    if (outcome !== 'done' || name === undefined || !isRunType(kind ?? '')) return applied;
    const waited = await context.runs.report({ name, project: facts.project, wanted });
    const { status, reached } = waited.facts;
    const found = { ...(status === undefined ? {} : { status }), ...(reached === undefined ? {} : { reached }) };
    return { ...waited, summary: `${summary}\n${waited.summary}`, facts: { ...facts, ...found } };
  },
});
