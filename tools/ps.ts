import * as z from 'zod';
import { extraFlags, project } from '../src/core/fields.ts';
import { readRuns, runRow } from '../src/dstack/output/read-runs.ts';
import { unrecognized } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

/** More are nobody's next step, and would not fit into a result. */
const MAX_ROWS = 100;

export const ps = defineTool({
  name: 'ps',
  title: 'List runs',
  description:
    'List runs with status, backend, GPU and price: what is running, pending or finished. Without `all`, finished runs are hidden while any run is active. For one run in detail use get.',
  effect: 'read',
  card: 'runs',
  input: z.strictObject({
    all: z.boolean().optional().describe('Finished runs too'),
    // The server refuses more than a hundred.
    last: z.int().min(1).max(100).optional().describe('Only the last N runs, finished ones included'),
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
    if (runs === undefined) return unrecognized(transcript);
    const shown = runs.slice(0, MAX_ROWS);
    return {
      outcome: 'done',
      summary:
        runs.length === 0
          ? 'No runs.'
          : `${runs.length} run${runs.length === 1 ? '' : 's'}${shown.length < runs.length ? `, of which the first ${shown.length} are in \`runs\`; \`last\` narrows it` : ''}.`,
      printed: [{ transcript, rest: 'use `last` for fewer runs' }],
      facts: { runs: shown },
      ...(runs.length === 0
        ? { next: 'To start one: offer for GPUs and prices, then plan with a configuration file.' }
        : {}),
    };
  },
});
