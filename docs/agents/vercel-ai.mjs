import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as StdioTransport } from '@ai-sdk/mcp/mcp-stdio';

const dstack = await createMCPClient({ transport: new StdioTransport({ command: 'npx', args: ['-y', 'dstack-mcp'] }) });
try {
  const tools = await dstack.tools();
  console.log(Object.keys(tools));
  // await generateText({ model, tools, prompt: 'Plan train.dstack.yml. What would it cost?' });
} finally {
  await dstack.close();
}
