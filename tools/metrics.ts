import * as z from 'zod';
import { project, resourceName } from '../src/fields.ts';
import { readTable } from '../src/output/read-table.ts';
import { defineTool } from '../src/tool.ts';

export const metrics = defineTool({
  name: 'metrics',
  title: 'Show utilization',
  description: "Show a run's CPU, memory and GPU utilization: whether it is busy, idle or about to run out of memory.",
  effect: 'read',
  input: z.strictObject({ run: resourceName, project }),
  facts: z.object({ rows: z.array(z.record(z.string(), z.string())) }),
  async run(input, { dstack }) {
    const transcript = await dstack.read({
      command: 'metrics',
      flags: { '--project': input.project },
      positionals: [input.run],
    });
    const rows = (readTable(transcript.stdout.split('\n'))?.rows ?? []).map(({ cells }) => cells);
    return { outcome: 'done', summary: `Utilization of ${input.run}.`, printed: [{ transcript }], facts: { rows } };
  },
});
