import * as z from 'zod';
import { plural } from '../src/core/values.ts';
import { extraFlags, project } from '../src/core/fields.ts';
import { readRuns, runRow, selectRows } from '../src/dstack/output/read-tables.ts';
import type { RunRow } from '../src/dstack/output/read-tables.ts';
import { unrecognized } from '../src/core/report.ts';
import type { Report } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

/** dstack lists at most this many runs, the latest ones, and doesn't say how many there are. */
const MOST_LISTED = 100;

export const ps = defineTool({
  name: 'ps',
  title: 'List runs',
  description: 'List runs (jobs) with status, GPU and price: running, pending in the queue or finished.',
  effect: 'read',
  card: 'runs',
  input: z.strictObject({
    all: z.boolean().optional().describe('Finished ones, too'),
    // dstack's server rejects more than a hundred.
    last: z.int().min(1).max(100).optional(),
    name: z.string().min(1).max(60).optional().describe('Part of the name'),
    verbose: z.boolean().optional(),
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
    const all = readRuns(transcript.stdout);
    if (all === undefined) return unrecognized(transcript);
    const { name = '' } = input;
    const runs = all.filter((run) => run.name.includes(name));
    if (runs.length === 0 && all.length > 0) return noneNamed(name, all.length);
    const shown = runs.slice(0, MOST_LISTED);
    const more = all.length >= MOST_LISTED ? `; dstack lists only the latest ${MOST_LISTED}, so there may be more` : '';
    return {
      outcome: 'done',
      summary:
        runs.length === 0
          ? 'No runs.'
          : `${plural(runs.length, 'run')}${name === '' ? '' : ` of ${all.length} listed`}${more}.`,
      printed: [
        {
          transcript: { ...transcript, stdout: selectRows(transcript.stdout, name) },
          rest: 'use `last` for fewer runs, or `name`',
        },
      ],
      facts: { runs: shown },
      next: nextStep(shown),
    };
  },
});

const noneNamed = (name: string, others: number): Report<{ runs: RunRow[] }> => ({
  outcome: 'done',
  summary: `No run whose name contains ${JSON.stringify(name)} (${plural(others, 'other run')} listed).`,
  printed: [],
  facts: { runs: [] },
  next: 'With `all`, ps looks through finished runs, too.',
});

function nextStep(runs: readonly RunRow[]): string | undefined {
  if (runs.length === 0) return 'To start one: offer for GPUs and prices, then plan with a configuration file.';
  const waiting = runs.filter(({ status }) => /^(?:pending|submitted|retrying|waiting)/.test(status));
  const names = waiting.slice(0, 5).map(({ name }) => name);
  return names.length === 0 ? undefined : `get says what a run that hasn't started waits for: ${names.join(', ')}.`;
}
