import * as z from 'zod';
import { project, resourceName } from '../src/core/fields.ts';
import { metricsRow, readMetrics } from '../src/dstack/output/read-listings.ts';
import { defineTool } from '../src/tool/tool.ts';

export const metrics = defineTool({
  name: 'metrics',
  title: 'Show utilization',
  description: "Show a run's GPU utilization, CPU and memory usage: busy, idle or about to run out of memory.",
  effect: 'read',
  input: z.strictObject({ run: resourceName, project }),
  facts: z.object({ rows: z.array(metricsRow) }),
  async run(input, { dstack }) {
    const transcript = await dstack.read({
      command: 'metrics',
      flags: { '--project': input.project },
      positionals: [input.run],
    });
    const rows = readMetrics(transcript.stdout);
    const words = rows.map(({ job, part, utilization, memory }) =>
      [job, part, utilization ?? 'no sample yet', ...(memory === undefined ? [] : [`memory ${memory}`])].join(' '),
    );
    return {
      outcome: 'done',
      summary: `Utilization of ${input.run}${words.length === 0 ? '' : `: ${words.slice(0, 50).join('; ')}`}.`,
      printed: [{ transcript }],
      facts: { rows },
    };
  },
});
