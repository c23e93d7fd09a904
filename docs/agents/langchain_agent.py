import asyncio

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools


async def main():
    client = MultiServerMCPClient(
        {"dstack": {"transport": "stdio", "command": "npx", "args": ["-y", "dstack-mcp"]}}
    )
    # One session: without it, every call starts a server.
    async with client.session("dstack") as session:
        tools = await load_mcp_tools(session)
        print([tool.name for tool in tools])
        # agent = create_agent("anthropic:claude-sonnet-4-5", tools)


asyncio.run(main())
