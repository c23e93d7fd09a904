import { factsListOf, textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** The `_meta` key for the data that the server sends to the card but not to the model. */
export const CARD = 'dstack-mcp/card';

/** The parts of a tool result that the card reads. */
export interface ToolResult {
  readonly isError: boolean;
  readonly facts: Facts;
  readonly meta: Facts;
  readonly text: string;
}

/** Reads a tool result from the host. */
export function readResult(result: Facts): ToolResult {
  const texts = factsListOf(result, 'content').flatMap((block) => textOf(block, 'text') ?? []);
  const meta = toFacts(result['_meta']);
  return {
    isError: result['isError'] === true,
    // The server sends the card its facts where no model reads them. The structured content is for programs.
    facts: toFacts(toFacts(meta[CARD])['facts'] ?? result['structuredContent']),
    meta,
    text: texts.join('\n'),
  };
}
