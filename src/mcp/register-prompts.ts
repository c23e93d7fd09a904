import { completable } from '@modelcontextprotocol/server';
import type { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { PROMPTS } from './prompt-definitions.ts';
import type { PromptArgument, PromptValues } from './prompt-definitions.ts';
import type { NameSource } from './completions.ts';

/** Registers every prompt, with completions for what dstack knows the names of. */
export function servePrompts(server: McpServer, names: NameSource): void {
  for (const prompt of PROMPTS) {
    const fields = Object.entries(prompt.arguments).map(
      ([name, argument]) => [name, toField(argument, names)] as const,
    );
    server.registerPrompt(
      prompt.name,
      {
        title: prompt.title,
        description: prompt.description,
        argsSchema: z.object(Object.fromEntries(fields)),
      },
      (values: PromptValues) => ({
        description: prompt.description,
        messages: [{ role: 'user', content: { type: 'text', text: prompt.write(values) } }],
      }),
    );
  }
}

function toField(argument: PromptArgument, names: NameSource): z.ZodType<string | undefined, string | undefined> {
  const described = argument.schema.describe(argument.description);
  const field =
    argument.completes === undefined ? described : completable(described, completer(argument.completes, names));
  return argument.required === true ? field : z.optional(field);
}

type Completes = NonNullable<PromptArgument['completes']>;

const completer =
  (completes: Completes, names: NameSource) =>
  (typed: string): Promise<string[]> | string[] =>
    typeof completes === 'string'
      ? names.complete(completes, typed)
      : completes.filter((word) => word.startsWith(typed));
