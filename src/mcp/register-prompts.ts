import { completable } from '@modelcontextprotocol/server';
import type { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { PROMPTS } from './prompt-definitions.ts';
import type { PromptArgument, PromptValues } from './prompt-definitions.ts';
import type { Completions } from './completions.ts';

/** Registers every prompt, with completions for the names that dstack knows. `warmUp` is called when one is used. */
export function registerPrompts(server: McpServer, completions: Completions, warmUp: () => void): void {
  for (const prompt of PROMPTS) {
    const fields = Object.entries(prompt.arguments).map(
      ([name, argument]) => [name, toField(argument, completions)] as const,
    );
    server.registerPrompt(
      prompt.name,
      {
        title: prompt.title,
        description: prompt.description,
        argsSchema: z.object(Object.fromEntries(fields)),
      },
      (values: PromptValues) => {
        // Calls will follow.
        warmUp();
        return {
          description: prompt.description,
          messages: [{ role: 'user', content: { type: 'text', text: prompt.write(values) } }],
        };
      },
    );
  }
}

function toField(
  argument: PromptArgument,
  completions: Completions,
): z.ZodType<string | undefined, string | undefined> {
  const described = argument.schema.describe(argument.description);
  const field =
    argument.completes === undefined ? described : completable(described, completer(argument.completes, completions));
  return argument.required === true ? field : z.optional(field);
}

type Completes = NonNullable<PromptArgument['completes']>;

const completer =
  (completes: Completes, completions: Completions) =>
  (typed: string): Promise<string[]> | string[] =>
    typeof completes === 'string'
      ? completions.complete(completes, typed)
      : completes.filter((word) => word.startsWith(typed));
