import * as z from 'zod';
import { project } from '../src/core/fields.ts';
import { readTable } from '../src/dstack/output/read-tables.ts';
import { unrecognized } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

const TYPES = ['volumes', 'gateways', 'secrets', 'presets', 'exports', 'imports', 'projects'] as const;
type ListedType = (typeof TYPES)[number];

const COMMANDS: Readonly<Record<ListedType, string>> = {
  volumes: 'volume',
  gateways: 'gateway',
  secrets: 'secret list',
  presets: 'preset',
  exports: 'export list',
  imports: 'import list',
  projects: 'project list',
};

const NO_PROJECT = 'Ask the user to run `dstack project add` with the address and the token of their dstack server.';

export const list = defineTool({
  name: 'list',
  title: 'List volumes and more',
  description: 'List volumes, gateways, secrets (names only), presets, exports, imports or configured projects.',
  effect: 'read',
  input: z.strictObject({ type: z.enum(TYPES), verbose: z.boolean().optional(), project }),
  facts: z.object({ items: z.array(z.record(z.string(), z.string())) }),
  async run(input, { dstack }) {
    const transcript = await dstack.read({
      command: COMMANDS[input.type],
      flags: {
        '--verbose': input.verbose,
        // Without it, dstack lists unfinished presets, or the last one.
        '--all': input.type === 'presets' ? true : undefined,
        // Projects are local to the CLI: their command has no --project.
        '--project': input.type === 'projects' ? undefined : input.project,
      },
    });
    const table = readTable(transcript.stdout.split('\n'));
    if (table === undefined) return unrecognized(transcript);
    const { rows } = table;
    const items = rows.slice(0, 200).map(({ cells }) => cells);
    return {
      outcome: 'done',
      summary: `${rows.length === 0 ? 'No' : rows.length} ${input.type}.`,
      printed: [{ transcript, rest: 'get shows one volume or gateway by name' }],
      facts: { items },
      next: rows.length === 0 && input.type === 'projects' ? NO_PROJECT : undefined,
    };
  },
});
