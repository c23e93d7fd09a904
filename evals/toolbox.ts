import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { dynamicTool, jsonSchema } from 'ai';
import type { ToolSet } from 'ai';
import { execa } from 'execa';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import type { ToolCall } from './task.ts';
import type { World } from './world.ts';
import { serverEnv, serverFile } from '../scripts/local-sandbox.ts';

/** The tools of one arm of the comparison, and a record of their use. */
export interface Toolbox {
  readonly tools: ToolSet;
  /** Text for the system prompt. */
  readonly instructions: string;
  readonly calls: readonly ToolCall[];
  /** The texts of the forms that the person got. */
  readonly forms: readonly string[];
  close(): Promise<void>;
}

const CALL_LIMIT_MS = 300_000;
const READING_MS = 1_000;

const toolResult = z.object({
  content: z.array(z.looseObject({ text: z.string().optional() })),
});

/** A person's answer to a form: each required choice is answered alike, and a name is typed as asked. */
const form = z.looseObject({
  message: z.string(),
  requestedSchema: z.looseObject({
    properties: z.record(
      z.string(),
      z.looseObject({
        enum: z.array(z.string()).optional(),
        oneOf: z.array(z.looseObject({ const: z.string() })).optional(),
      }),
    ),
  }),
});

/** Opens this project's tools, used as a host without cards uses them. */
export async function openServerTools(world: World, approves: boolean): Promise<Toolbox> {
  const client = new Client({ name: 'evals', version: '1.0.0' }, { capabilities: { elicitation: { form: {} } } });
  const calls: ToolCall[] = [];
  const forms: string[] = [];
  client.setRequestHandler('elicitation/create', async ({ params }) => {
    // An answer that comes at once doesn't count as a person's.
    await delay(READING_MS);
    const { message, requestedSchema } = form.parse(params);
    forms.push(message);
    if (!approves) return { action: 'decline' as const };
    const entries = Object.entries(requestedSchema.properties).map(
      ([name, { enum: plain, oneOf }]) =>
        [name, fillField(name, message, plain ?? oneOf?.map((choice) => choice.const))] as const,
    );
    return { action: 'accept' as const, content: Object.fromEntries(entries) };
  });
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: [serverFile], env: serverEnv(world.sandbox) }),
  );
  const { tools } = await client.listTools();
  const call = async (tool: string, input: unknown): Promise<string> => {
    const args = z.record(z.string(), z.unknown()).parse(input);
    const result = await client.callTool({ name: tool, arguments: args }, { timeout: CALL_LIMIT_MS });
    const output = toolResult
      .parse(result)
      .content.map(({ text }) => text ?? '')
      .join('\n');
    calls.push({ tool, input, output });
    return output;
  };
  return {
    tools: Object.fromEntries(
      tools.map(({ name, description = '', inputSchema }) => [
        name,
        dynamicTool({
          description,
          inputSchema: jsonSchema(inputSchema),
          execute: (input) => call(name, input),
        }),
      ]),
    ),
    instructions: client.getInstructions() ?? '',
    calls,
    forms,
    close: () => client.close(),
  };
}

function fillField(name: string, message: string, choices: readonly string[] | undefined): string | boolean {
  if (name === 'name') return /Type the name (\S+) to approve/.exec(message)?.[1] ?? '';
  return choices?.at(-1) ?? true;
}

const SHELL_LIMIT_MS = 120_000;
const SHELL_OUTPUT = 30_000;

/** Opens a shell in the user's folder with the bare dstack CLI, and dstack's own skill if there is one. */
export function openShell({ sandbox }: World, skill: string): Toolbox {
  const calls: ToolCall[] = [];
  const command = z.object({ command: z.string() });
  return {
    tools: {
      shell: dynamicTool({
        description: `Runs a Bash command in the user's folder, for at most ${SHELL_LIMIT_MS / 1000} s. The dstack CLI is installed and configured.`,
        inputSchema: command,
        execute: async (input) => {
          const { all } = await execa('bash', ['-c', command.parse(input).command], {
            cwd: sandbox.workspace,
            env: sandbox.env,
            extendEnv: false,
            all: true,
            reject: false,
            stdin: 'ignore',
            timeout: SHELL_LIMIT_MS,
          });
          const output = all.slice(0, SHELL_OUTPUT);
          calls.push({ tool: 'shell', input, output });
          return output;
        },
      }),
    },
    instructions: skill,
    calls,
    forms: [],
    close: () => Promise.resolve(),
  };
}
