import * as z from 'zod';
import { extraFlags, project, resourceName } from '../src/core/fields.ts';
import { defineTool } from '../src/tool/tool.ts';

export const event = defineTool({
  name: 'event',
  title: 'List events',
  description:
    'List what happened and when: status changes of runs, jobs, fleets, instances and volumes, and who did them. Shows why a run or machine came to be where it is.',
  effect: 'read',
  input: z.strictObject({
    run: resourceName.optional().describe('Events of this run and its jobs'),
    fleet: resourceName.optional().describe('Events of this fleet and its instances'),
    project,
    flags: extraFlags,
  }),
  facts: z.object({ events: z.number() }),
  async run(input, { dstack }) {
    const transcript = await dstack.read({
      command: 'event',
      flags: { '--within-run': input.run, '--within-fleet': input.fleet, '--project': input.project },
      extraFlags: input.flags,
    });
    const events = transcript.stdout.split('\n').filter((line) => line.startsWith('[')).length;
    return {
      outcome: 'done',
      summary: `${events} event${events === 1 ? '' : 's'}.`,
      printed: [
        { transcript, keep: 'end', untrusted: true, maxChars: 20_000, rest: 'narrow it with `run` or `fleet`' },
      ],
      facts: { events },
    };
  },
});
