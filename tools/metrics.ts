import * as z from 'zod';
import { jobChoice, project, resourceName } from '../src/core/fields.ts';
import { chooseJob, nameJobs } from '../src/dstack/output/read-state.ts';
import { metricsRow, readMetrics } from '../src/dstack/output/read-tables.ts';
import { defineTool } from '../src/tool/tool.ts';

export const metrics = defineTool({
  name: 'metrics',
  title: 'Show utilization',
  description: "Show a run's GPU utilization, CPU and memory usage: busy, idle or about to run out of memory.",
  effect: 'read',
  input: z.strictObject({
    run: resourceName,
    ...jobChoice,
    project,
  }),
  facts: z.object({ rows: z.array(metricsRow) }),
  async run({ run: name, project: of, replica, job }, { dstack, runs }) {
    const command = {
      command: 'metrics',
      flags: { '--replica': replica, '--job': job, '--project': of },
      positionals: [name],
    };
    await dstack.check(command);
    const isAll = replica === undefined && job === undefined;
    const run = isAll ? undefined : await runs.look({ name, project: of });
    const jobs = run?.jobs ?? [];
    if (run !== undefined) chooseJob(name, jobs, { replica, job });
    const others = jobs.filter((one) => one.replica !== (replica ?? one.replica) || one.job !== (job ?? one.job));
    const transcript = await dstack.read(command);
    const rows = readMetrics(transcript.stdout);
    const words = rows.map(({ job: label, part, utilization, memory }) =>
      [label, part, utilization ?? 'no sample yet', ...(memory === undefined ? [] : [`memory ${memory}`])].join(' '),
    );
    return {
      outcome: 'done',
      summary: `Utilization of ${name}${words.length === 0 ? '' : `: ${words.slice(0, 50).join('; ')}`}.`,
      details: others.length === 0 ? undefined : [`not shown: ${nameJobs(others)}`],
      printed: [{ transcript }],
      facts: { rows },
    };
  },
});
