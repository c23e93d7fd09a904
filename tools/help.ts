import * as z from 'zod';
import { WHOLE_CHARS } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const help = defineTool({
  name: 'help',
  title: 'Show command help',
  description: "Show the dstack CLI's --help for any command, verbatim. Use it before passing `flags` to another tool.",
  effect: 'read',
  input: z.strictObject({
    command: z.string().max(100).optional(),
    type: z.string().max(40).optional().describe('For apply: task, fleet…'),
  }),
  facts: z.object({ command: z.string() }),
  async run(input, { dstack }) {
    const page = await dstack.helpPage(input.command ?? '', input.type);
    return {
      outcome: 'done',
      summary: `Help for \`${page.transcript.command}\`.`,
      printed: [{ transcript: page.transcript, maxChars: WHOLE_CHARS }],
      facts: { command: page.transcript.command },
    };
  },
});
