import asyncio

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main():
    dstack = BasicMCPClient("npx", args=["-y", "dstack-mcp"], timeout=120)
    tools = await McpToolSpec(dstack).to_tool_list_async()
    print([tool.metadata.name for tool in tools])
    # agent = FunctionAgent(tools=tools, llm=llm)


asyncio.run(main())
