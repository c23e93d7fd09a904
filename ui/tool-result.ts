import { factsListOf, textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** A tool's result as the card reads it. */
export interface ToolResult {
  readonly isError: boolean;
  readonly facts: Facts;
  readonly meta: Facts;
  readonly text: string;
}

/** Reads a tool's result, whatever a host made of it. */
export function readResult(result: Facts): ToolResult {
  const texts = factsListOf(result, 'content').flatMap((block) => textOf(block, 'text') ?? []);
  return {
    isError: result['isError'] === true,
    facts: toFacts(result['structuredContent']),
    meta: toFacts(result['_meta']),
    text: texts.join('\n'),
  };
}
