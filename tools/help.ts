import * as z from 'zod';
import { defineTool } from '../src/tool/tool.ts';

export const help = defineTool({
  name: 'help',
  title: 'Help of a command',
  description:
    "Show the installed dstack CLI's own --help for any command, word for word: its flags, and for apply the flags of a configuration type. Use it before giving `flags` to another tool.",
  effect: 'read',
  input: z.strictObject({
    command: z
      .string()
      .max(100)
      .optional()
      .describe('As in "apply" or "fleet delete"; the list of commands when left out'),
    type: z.string().max(40).optional().describe('For apply: task, service, dev-environment, fleet, volume, gateway'),
  }),
  facts: z.object({ command: z.string() }),
  async run(input, { dstack }) {
    const page = await dstack.helpPage(input.command ?? '', input.type);
    return {
      outcome: 'done',
      summary: `What dstack documents for \`${page.transcript.command}\`.`,
      printed: [{ transcript: page.transcript }],
      facts: { command: page.transcript.command },
    };
  },
});
