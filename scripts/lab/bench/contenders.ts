import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { execa } from 'execa';
import path from 'node:path';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { serverEnv, serverFile } from '../../local-sandbox.ts';

export const COMMANDS = ['ps', 'get', 'offer', 'plan', 'help', 'config'] as const;
export type Command = (typeof COMMANDS)[number];

/** Runs one command through one interface to dstack. Returns `undefined` if that interface doesn't support it. */
export type Contender = (command: Command) => Promise<void> | undefined;

export interface McpContender {
  readonly call: Contender;
  readonly pid: number;
  readonly client: Client;
}

export interface Contenders {
  readonly bare: Contender;
  readonly plain: McpContender;
  readonly warm: McpContender;
  /** With spare processes, as on macOS and Windows. */
  readonly spare: McpContender;
  readonly rest: Contender;
  readonly toolsListBytes: number;
  close(): Promise<void>;
}

/** Returns the environment of a server, for a value of DSTACK_MCP_WARM. */
export function contenderEnv(sandbox: Sandbox, stateDir: string, warm: 'on' | 'off' | 'spare'): Record<string, string> {
  return {
    ...serverEnv(sandbox, stateDir),
    DSTACK_MCP_WARM: warm,
    // 32 concurrent plain processes take most of a minute on a slow machine.
    DSTACK_MCP_TIMEOUT: '180',
  };
}

/** Connects to the bare CLI, the server with plain processes, the server with the warm worker, and the REST API (the lower bound). */
export async function createContenders(sandbox: Sandbox, folder: string): Promise<Contenders> {
  const [plain, warm, spare] = await Promise.all([
    connect(sandbox, path.join(folder, 'plain'), 'off'),
    connect(sandbox, path.join(folder, 'warm'), 'on'),
    connect(sandbox, path.join(folder, 'spare'), 'spare'),
  ]);
  const bare = bareCli(sandbox);
  // The run that `get` reads; nothing else is submitted.
  await execa(sandbox.cli, ['apply', '-f', 'bench.dstack.yml', '-y', '-d'], {
    cwd: sandbox.workspace,
    env: sandbox.env,
    extendEnv: false,
    stdin: 'ignore',
  });
  for (const { call } of [plain, warm, spare]) for (const command of COMMANDS) await call(command);
  const toolsListBytes = JSON.stringify(await warm.client.listTools()).length;
  return {
    bare,
    plain,
    warm,
    spare,
    rest: restApi(sandbox),
    toolsListBytes,
    close: async () => {
      await Promise.all([plain, warm, spare].map(({ client }) => client.close()));
    },
  };
}

async function connect(sandbox: Sandbox, stateDir: string, warm: 'on' | 'off' | 'spare'): Promise<McpContender> {
  const client = new Client({ name: 'bench', version: '1.0.0' });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [serverFile],
    env: contenderEnv(sandbox, stateDir, warm),
  });
  await client.connect(transport);
  const inputs: Record<Command, Record<string, unknown>> = {
    ps: {},
    get: { name: 'bench' },
    offer: {},
    plan: { file: 'other.dstack.yml' },
    help: { command: 'ps' },
    config: { action: 'validate', file: 'long.dstack.yml' },
  };
  return {
    client,
    pid: transport.pid ?? 0,
    call: async (command) => {
      const result = await client.callTool({ name: command, arguments: inputs[command] }, { timeout: 120_000 });
      if (result.isError) throw new Error(`${command} failed: ${JSON.stringify(result.content).slice(0, 500)}`);
    },
  };
}

function bareCli(sandbox: Sandbox): Contender {
  // The bare CLI can't validate a file without planning it.
  const argv: Record<Exclude<Command, 'config'>, string[]> = {
    ps: ['ps'],
    get: ['run', 'get', 'bench', '--json'],
    offer: ['offer'],
    plan: ['apply', '-f', 'other.dstack.yml'],
    help: ['ps', '--help'],
  };
  const run = async (command: keyof typeof argv): Promise<void> => {
    await execa(sandbox.cli, argv[command], {
      cwd: sandbox.workspace,
      env: { ...sandbox.env, COLUMNS: '1000', NO_COLOR: '1' },
      extendEnv: false,
      ...(command === 'plan' ? { input: 'n\n' } : { stdin: 'ignore' }),
    });
  };
  return (command) => (command === 'config' ? undefined : run(command));
}

/** Sends the requests that the commands send, over a kept-alive connection. The other commands send several requests, or none. */
function restApi(sandbox: Sandbox): Contender {
  const post = async (endpoint: string, body: unknown): Promise<void> => {
    const response = await fetch(`${sandbox.url}${endpoint}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sandbox.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${endpoint}: ${response.status}`);
    await response.text();
  };
  return (command) => {
    switch (command) {
      case 'ps':
        return post('/api/runs/list', {
          project_name: 'main',
          only_active: true,
          include_jobs: true,
          job_submissions_limit: 1,
        });
      case 'get':
        return post('/api/project/main/runs/get', { run_name: 'bench' });
      case 'offer':
      case 'plan':
      case 'help':
      case 'config':
        return undefined;
      default:
        return command satisfies never;
    }
  };
}
