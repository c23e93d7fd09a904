import asyncio

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset


async def main():
    dstack = MCPToolset(StdioTransport("npx", ["-y", "dstack-mcp"]))
    agent = Agent(toolsets=[dstack])
    async with agent:
        print([tool.name for tool in await dstack.list_tools()])
        # await agent.run("Plan train.dstack.yml. What would it cost?", model="anthropic:claude-sonnet-4-5")


asyncio.run(main())
