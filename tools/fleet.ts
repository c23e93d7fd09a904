import * as z from 'zod';
import { plural } from '../src/core/format-values.ts';
import { project, resourceName } from '../src/core/fields.ts';
import { fleetRow, limitInstances, readFleets } from '../src/dstack/output/read-listings.ts';
import { readJsonOutput } from '../src/dstack/output/read-json-output.ts';
import { describeResource, describeResourceStatus } from '../src/dstack/output/describe-resource.ts';
import { readFleet, resourceFacts } from '../src/dstack/output/read-resource.ts';
import { unrecognized, WHOLE_CHARS } from '../src/core/report.ts';
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
  async run(input, { dstack }) {
    if (input.name !== undefined) {
      const transcript = await dstack.read({
        command: 'fleet get',
        flags: { '--json': true, '--project': input.project },
        positionals: [input.name],
      });
      const found = readFleet(readJsonOutput(transcript.stdout));
      return {
        outcome: 'done',
        summary: describeResourceStatus(found),
        details: describeResource(found),
        printed: input.full === true ? [{ transcript, maxChars: WHOLE_CHARS }] : [],
        facts: { fleet: found },
      };
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
      ...(fleets.length === 0 ? { next: 'Write a configuration with `type: fleet`, then plan and apply it.' } : {}),
    };
  },
});
