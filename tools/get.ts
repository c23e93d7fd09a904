import * as z from 'zod';
import { awaitedState, jobChoice, project, runNames } from '../src/core/fields.ts';
import { reportSeveral, WHOLE_CHARS } from '../src/core/report.ts';
import { resourceFacts } from '../src/dstack/output/read-state.ts';
import { defineTool } from '../src/tool/tool.ts';

/** The ends of all logs together: the facts of several runs take most of 8 KB. */
const LOG_CHARS = 2_000;

const input = z.strictObject({
  name: runNames,
  type: z.enum(['run', 'volume', 'gateway']).optional(),
  wait_for: awaitedState.describe('ready: a service answers'),
  ...jobChoice,
  full: z.boolean().optional().describe("All of dstack's JSON"),
  project,
});

const facts = z.object({
  run: z.looseObject({ name: z.string() }),
  resource: resourceFacts,
  status: z.string(),
  reached: z.boolean().describe('Whether the requested state was reached'),
});

export const get = defineTool({
  name: 'get',
  title: 'Get a run',
  description:
    "Show runs or jobs in detail: status, why it failed or isn't running, cost so far, service URL. Can wait until it is running or finished.",
  effect: 'read',
  card: 'run',
  input,
  facts,
  async run({ type = 'run', name: names, ...request }, context) {
    const report = (name: string) =>
      type === 'run'
        ? context.runs.report({ ...request, name, wanted: request.wait_for })
        : context.reportResource(type, { ...request, name });
    const [name = '', ...others] = new Set(names);
    return others.length === 0
      ? report(name)
      : reportSeveral([name, ...others], request.full === true ? WHOLE_CHARS : LOG_CHARS, report);
  },
});
