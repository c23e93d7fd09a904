import * as z from 'zod';
import { WHOLE_CHARS } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';

export const help = defineTool({
  name: 'help',
  title: 'Show help',
  description:
    "Show the dstack CLI's --help for a command, a flag (`apply --spot`) or a word, verbatim. Use it before passing `flags`.",
  effect: 'read',
  input: z.strictObject({
    command: z.string().max(100).optional(),
    type: z.string().max(40).optional().describe('For apply: task'),
  }),
  facts: z.object({ command: z.string() }),
  async run(input, { dstack }) {
    const { command: asked = '', type } = input;
    const { transcript, isPage } = await dstack.help(asked, type);
    const { command } = transcript;
    return {
      outcome: 'done',
      summary: isPage ? `Help for \`${command}\`.` : `What \`${command}\` says about \`${asked}\`.`,
      printed: [isPage ? { transcript, maxChars: WHOLE_CHARS } : { transcript, rest: 'name the command, too' }],
      facts: { command },
    };
  },
});
