import * as z from 'zod';
import { extraFlags, project } from '../src/fields.ts';
import { readRuns, runRow } from '../src/output/read-runs.ts';
import { defineTool } from '../src/tool.ts';

export const ps = defineTool({
  name: 'ps',
  title: 'List runs',
  description:
    'List runs with status, backend, GPU and price: what is running, pending or finished. Without `all`, finished runs are hidden while any run is active. For one run in detail use get.',
  effect: 'read',
  input: z.strictObject({
    all: z.boolean().optional().describe('Finished runs too'),
    last: z.int().min(1).max(500).optional().describe('Only the last N runs, finished ones included'),
    verbose: z.boolean().optional().describe('Resources, replicas, jobs and errors too'),
    project,
    flags: extraFlags,
  }),
  facts: z.object({ runs: z.array(runRow) }),
  async run(input, { dstack }) {
    const transcript = await dstack.read({
      command: 'ps',
      flags: { '--all': input.all, '--last': input.last, '--verbose': input.verbose, '--project': input.project },
      extraFlags: input.flags,
    });
    const runs = readRuns(transcript.stdout);
    return {
      outcome: 'done',
      summary: runs.length === 0 ? 'No runs.' : `${runs.length} run${runs.length === 1 ? '' : 's'}.`,
      printed: [{ transcript, rest: 'use `last` for fewer runs' }],
      facts: { runs },
      ...(runs.length === 0
        ? { next: 'To start one: offer for GPUs and prices, then plan with a configuration file.' }
        : {}),
    };
  },
});
