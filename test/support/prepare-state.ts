import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { builtServer } from './paths.ts';

/** Makes a server fill the caches of a state folder: the CLI's help pages, and its own compiled code. */
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
