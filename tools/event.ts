import * as z from 'zod';
import { plural } from '../src/core/values.ts';
import { extraFlags, project, resourceName } from '../src/core/fields.ts';
import { defineTool } from '../src/tool/tool.ts';

export const event = defineTool({
  name: 'event',
  title: 'List events',
  description: 'List events: what happened and when, to runs, jobs, fleets, instances and volumes, and who did it.',
  effect: 'read',
  input: z.strictObject({
    run: resourceName.optional(),
    fleet: resourceName.optional(),
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
      summary: `${plural(events, 'event')}.`,
      printed: [{ transcript, keep: 'end', untrusted: true, rest: 'narrow it down with `run` or `fleet`' }],
      facts: { events },
    };
  },
});
