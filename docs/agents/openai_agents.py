import asyncio

from agents import Agent
from agents.mcp import MCPServerStdio


async def main():
    async with MCPServerStdio(
        params={"command": "npx", "args": ["-y", "dstack-mcp"]},
        client_session_timeout_seconds=120,
    ) as dstack:
        agent = Agent(name="GPU operator", mcp_servers=[dstack])
        print(agent.name, [tool.name for tool in await dstack.list_tools()])
        # await Runner.run(agent, "Plan train.dstack.yml. What would it cost?")


asyncio.run(main())
