import { PROMPT } from './hosts.ts';
import type { Reaction } from './terminal.ts';

/** The use of a host in a terminal. */
export interface TerminalUse {
  /** The arguments that start it, with the prompt as its first input. */
  readonly args: readonly string[];
  /** A person's reactions to its own questions before a call. */
  readonly approves: readonly Reaction[];
  /** A person's way to approve in its form; empty if it shows none. */
  readonly form: readonly Reaction[];
}

/** The hosts that are driven in a terminal, by ID. */
export const TERMINALS: Readonly<Partial<Record<string, TerminalUse>>> = {
  'claude-code': {
    args: [PROMPT],
    approves: [
      { sees: /New MCP server found[^]*❯ 1\. Use this/, presses: ['Enter'] },
      { sees: /Do you want to proceed\?[^]*❯ 1\. Yes/, presses: ['Enter'] },
      // It sends the first input before the server is connected.
      { sees: /There is no tool plan\.(?![^]*Try again)/, presses: ['Try again.', 'Enter'] },
    ],
    form: [
      { sees: /requests your input[^]*Your decision: ▸ not set/, presses: ['Right'] },
      { sees: /requests your input[^]*❯ ◯ No, do nothing/, presses: ['Down', 'Enter', 'Enter'] },
    ],
  },
  codex: {
    args: [PROMPT],
    approves: [{ sees: /Allow the dstack MCP server[^]*› 1\. Allow/, presses: ['Enter'] }],
    form: [{ sees: /Your decision[^]*› 1\. No, do nothing/, presses: ['Down', 'Enter'] }],
  },
  gemini: {
    args: ['-m', 'gemini-2.5-pro', '-i', PROMPT],
    approves: [{ sees: /Action Required[^]*● 1\. Allow once/, presses: ['Enter'] }],
    form: [],
  },
  qwen: {
    args: ['-i', PROMPT],
    approves: [{ sees: /Allow execution of MCP tool[^]*› 1\. Yes, allow once/, presses: ['Enter'] }],
    form: [],
  },
  copilot: {
    args: ['-i', PROMPT],
    approves: [{ sees: /Do you want to use this tool\?[^]*❯ 1\. Yes/, presses: ['Enter'] }],
    form: [{ sees: /dstack needs information[^]*❯ No, do nothing/, presses: ['Down', 'Enter'] }],
  },
};
