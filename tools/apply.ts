import * as z from 'zod';
import { choiceFlags, choices, confirmationToken, extraFlags, nextState, withChoices } from '../src/core/fields.ts';
import { appliedFacts } from '../src/changes/change-facts.ts';
import { isRunType } from '../src/core/dstack-terms.ts';
import { defineTool } from '../src/tool/tool.ts';
import { copy } from './copy.ts';
import { exec } from './exec.ts';
import { request } from './request.ts';

/** The tools whose calls can wait for the consent to use a run. */
const USES = { copy, exec, request } as const;

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

/** A call that had waited for consent adds its own. */
const facts = z.looseObject({ ...appliedFacts.shape, reached: z.boolean() });

function checkFacts(given: unknown): Partial<z.output<typeof facts>> {
  if (isFacts(given)) return given;
  throw new TypeError('a fact of the call has the name of a fact of apply, and another type');
}

const isFacts = (given: unknown): given is Partial<z.output<typeof facts>> => facts.partial().safeParse(given).success;

export const apply = defineTool({
  name: 'apply',
  title: 'Apply a change',
  description:
    'Start or submit the approved job, run, cluster or volume, or carry out an approved stop, delete, command or upload, using the token of its preview. Call only after the user approves, or asked for it within limits that they named.',
  effect: 'change',
  input: z.strictObject({ token: confirmationToken, wait_for: nextState, ...repeated.shape }),
  unlisted: Object.keys(repeated.shape),
  facts,
  async run(
    { token, wait_for: wanted, gpu, spot, max_price, fleet, max_duration: duration, flags, ...named },
    context,
  ) {
    const chosen = { ...choiceFlags({ gpu, spot, max_price, fleet }), '--max-duration': duration };
    const applied = await context.changes.redeem(token, { ...named, flags: withChoices(flags, chosen) });
    if ('kind' in applied) return applied;
    const made = await context.changes.makeWaitingCall(token, applied, async ({ tool, input }) => {
      const report = await USES[tool].prepare(input)(context);
      if ('kind' in report) throw new TypeError(`${tool} asks nothing itself`);
      return report;
    });
    if (made !== undefined) return { ...made, facts: checkFacts(made.facts) };
    if (wanted === undefined) return applied;
    const { outcome, facts: known, summary } = applied;
    const { name, kind } = known.resource ?? {};
    // Called again with the same token, it continues to wait: the change itself isn't made again.
    if (outcome !== 'done' || name === undefined || !isRunType(kind ?? '')) return applied;
    const waited = await context.runs.report({ name, project: known.project, wanted });
    const { status, reached } = waited.facts;
    const found = { ...(status === undefined ? {} : { status }), ...(reached === undefined ? {} : { reached }) };
    return { ...waited, summary: `${summary} ${waited.summary}`, facts: { ...known, ...found } };
  },
});
