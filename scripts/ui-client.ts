import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

/** Protocol version of the client. */
export type Era = '2026-07-28' | '2025-11-25';

export interface CardClientOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Path of the built server. */
  readonly server: string;
  readonly era?: Era;
  /** Whether the client declares support for MCP Apps. Defaults to true. */
  readonly showsCards?: boolean;
}

/** Starts the server over stdio and connects to it as an MCP Apps host does. */
export async function connectCardClient({
  env,
  server,
  era = '2026-07-28',
  showsCards = true,
}: CardClientOptions): Promise<Client> {
  const cards = { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } };
  const client = new Client(
    { name: 'dstack-mcp-card-host', version: '1.0.0' },
    {
      capabilities: showsCards ? { extensions: cards } : {},
      versionNegotiation: { mode: era === '2026-07-28' ? 'auto' : 'legacy' },
    },
  );
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: [server], env: { ...env }, stderr: 'inherit' }),
  );
  return client;
}
