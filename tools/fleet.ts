import * as z from 'zod';
import { plural } from '../src/core/values.ts';
import { project, resourceName } from '../src/core/fields.ts';
import { fleetRow, limitInstances, readFleets } from '../src/dstack/output/read-tables.ts';
import { resourceFacts } from '../src/dstack/output/read-state.ts';
import { unrecognized } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

/** Fits into a result that clients take, about 80 KB. */
const MAX_INSTANCES = 500;

export const fleet = defineTool({
  name: 'fleet',
  title: 'List fleets',
  description:
    'List fleets (clusters) and their instances (machines, nodes): cloud and on-prem SSH fleets, idle or busy, with prices. With `name`, one in detail.',
  effect: 'read',
  input: z.strictObject({
    name: resourceName.optional(),
    verbose: z.boolean().optional(),
    full: z.boolean().optional(),
    project,
  }),
  facts: z.object({ fleets: z.array(fleetRow), fleet: resourceFacts }),
  async run(input, { dstack, reportResource }) {
    if (input.name !== undefined) {
      const report = await reportResource('fleet', { ...input, name: input.name });
      return { ...report, facts: { fleet: report.facts.resource } };
    }
    const transcript = await dstack.read({
      command: 'fleet',
      flags: { '--verbose': input.verbose, '--project': input.project },
    });
    const fleets = readFleets(transcript.stdout);
    if (fleets === undefined) return unrecognized(transcript);
    return {
      outcome: 'done',
      summary: fleets.length === 0 ? 'No fleets. A run needs one.' : `${plural(fleets.length, 'fleet')}.`,
      printed: [{ transcript, rest: 'request one fleet by `name`' }],
      facts: { fleets: limitInstances(fleets, MAX_INSTANCES) },
      next: fleets.length === 0 ? 'Write a configuration with `type: fleet`, then plan and apply it.' : undefined,
    };
  },
});
