import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { builtServer } from './paths.ts';

/** Has one server keep in a state folder what each would find out again: the help of the CLI, and its own code, compiled. */
export async function prepareState(env: Readonly<Record<string, string>>, stateDir: string): Promise<void> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [builtServer],
    env: { ...env, DSTACK_MCP_STATE_DIR: stateDir },
    stderr: 'ignore',
  });
  const client = new Client({ name: 'test-setup', version: '1.0.0' });
  await client.connect(transport);
  await client.callTool({ name: 'help', arguments: { command: 'apply' } }, { timeout: 120_000 });
  await client.close();
}
