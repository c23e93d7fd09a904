import * as z from 'zod';
import { choiceFlags, choices, confirmationToken, extraFlags, nextState, withChoices } from '../src/core/fields.ts';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { isRunType } from '../src/core/run-state.ts';
import { defineTool } from '../src/tool/tool.ts';

/** Arguments of the preview, which models repeat. The token says everything, so they have to say the same. */
const repeated = z
  .object({
    file: z.string(),
    run: z.array(z.string()),
    type: z.string(),
    name: z.string(),
    instance: z.int(),
    abort: z.boolean(),
    project: z.string(),
    ...choices,
    max_duration: z.string(),
    flags: extraFlags,
  })
  .partial();

export const apply = defineTool({
  name: 'apply',
  title: 'Apply a change',
  description:
    'Start or submit the approved job, run, cluster or volume, or carry out an approved stop or delete, using the token of its plan. Call only after the user approves, or asked for it within limits that they named.',
  effect: 'change',
  input: z.strictObject({ token: confirmationToken, wait_for: nextState, ...repeated.shape }),
  unlisted: Object.keys(repeated.shape),
  facts: z.object({ ...appliedFacts.shape, reached: z.boolean() }),
  async run(
    { token, wait_for: wanted, gpu, spot, max_price, fleet, max_duration: duration, flags, ...named },
    context,
  ) {
    const chosen = { ...choiceFlags({ gpu, spot, max_price, fleet }), '--max-duration': duration };
    const applied = await context.changes.redeem(token, { ...named, flags: withChoices(flags, chosen) });
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
