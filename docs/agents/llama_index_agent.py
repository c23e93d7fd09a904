import asyncio

from llama_index.tools.mcp import McpToolSpec
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    server = StdioServerParameters(command="npx", args=["-y", "dstack-mcp"])
    # One session: with BasicMCPClient, every call starts a server.
    async with stdio_client(server) as (read, write), ClientSession(read, write) as dstack:
        await dstack.initialize()
        tools = await McpToolSpec(dstack).to_tool_list_async()
        print([tool.metadata.name for tool in tools])
        # agent = FunctionAgent(tools=tools, llm=llm)


asyncio.run(main())
