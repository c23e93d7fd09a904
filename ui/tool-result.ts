import { factsListOf, textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

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
  return {
    isError: result['isError'] === true,
    facts: toFacts(result['structuredContent']),
    meta: toFacts(result['_meta']),
    text: texts.join('\n'),
  };
}
