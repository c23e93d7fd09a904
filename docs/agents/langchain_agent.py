import asyncio

from langchain_mcp_adapters.client import MultiServerMCPClient


async def main():
    client = MultiServerMCPClient(
        {"dstack": {"transport": "stdio", "command": "npx", "args": ["-y", "dstack-mcp"]}}
    )
    tools = await client.get_tools()
    print([tool.name for tool in tools])
    # agent = create_agent("anthropic:claude-sonnet-4-5", tools)


asyncio.run(main())
