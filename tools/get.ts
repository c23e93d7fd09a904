import * as z from 'zod';
import { awaitedState, project, runNames } from '../src/core/fields.ts';
import { reportSeveral, WHOLE_CHARS } from '../src/core/report.ts';
import type { Report } from '../src/core/report.ts';
import { describeResource, describeResourceStatus } from '../src/dstack/output/describe-resource.ts';
import { readJsonOutput } from '../src/dstack/output/read-json-output.ts';
import { readGateway, readVolume, resourceFacts } from '../src/dstack/output/read-resource.ts';
import type { ToolContext } from '../src/tool/tool-context.ts';
import { defineTool } from '../src/tool/tool.ts';

/** The ends of all logs together: the facts of several runs take most of 8 KB. */
const LOG_CHARS = 2_000;

const input = z.strictObject({
  name: runNames,
  type: z.enum(['run', 'volume', 'gateway']).optional(),
  wait_for: awaitedState.describe('ready: a service answers'),
  replica: z.int().min(0).optional(),
  job: z.int().min(0).optional(),
  full: z.boolean().optional().describe("All of dstack's JSON"),
  project,
});
type Input = z.output<typeof input>;

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
        : getResource(type, { ...request, name }, context);
    const [name = '', ...others] = new Set(names);
    return others.length === 0
      ? report(name)
      : reportSeveral([name, ...others], request.full === true ? WHOLE_CHARS : LOG_CHARS, report);
  },
});

async function getResource(
  type: 'volume' | 'gateway',
  { name, full, project: of }: Pick<Input, 'full' | 'project'> & { readonly name: string },
  { dstack }: ToolContext,
): Promise<Report<z.output<typeof facts>>> {
  const transcript = await dstack.read({
    command: `${type} get`,
    flags: { '--json': true, '--project': of },
    positionals: [name],
  });
  const resource = (type === 'volume' ? readVolume : readGateway)(readJsonOutput(transcript.stdout));
  return {
    outcome: 'done',
    summary: describeResourceStatus(resource),
    details: describeResource(resource),
    printed: full === true ? [{ transcript, maxChars: WHOLE_CHARS }] : [],
    facts: { resource, status: resource.status },
  };
}
