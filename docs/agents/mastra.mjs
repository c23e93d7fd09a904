import { MCPClient } from '@mastra/mcp';

const client = new MCPClient({ servers: { dstack: { command: 'npx', args: ['-y', 'dstack-mcp'] } }, timeout: 120_000 });
try {
  const tools = await client.listTools();
  console.log(Object.keys(tools));
  // new Agent({ id: 'gpu', name: 'GPU operator', model, tools });
} finally {
  await client.disconnect();
}
