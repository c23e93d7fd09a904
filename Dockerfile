# The server with a dstack CLI. It needs the user's ~/.dstack and a folder with configurations; the volume keeps the audit log:
#   docker build -t dstack-mcp .
#   docker run -i --rm --hostname dstack-mcp -v ~/.dstack:/home/node/.dstack -v "$PWD:/workspace" -v dstack-mcp:/home/node/.local/state/dstack-mcp dstack-mcp
# A token is valid on the computer with the name that made it: a fixed one lets the next container redeem it.
# It runs as user 1000; for another one, add --user and -e HOME. A dstack server on the same computer needs --network host.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY . .
RUN npm ci && npm run build

FROM node:22-bookworm-slim
ARG DSTACK_VERSION=0.22.5
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates git openssh-client python3 python3-venv \
  && rm -rf /var/lib/apt/lists/* \
  && python3 -m venv /opt/dstack \
  && /opt/dstack/bin/pip install --no-cache-dir "dstack==$DSTACK_VERSION" \
  && install -d -o node /workspace /home/node/.dstack /home/node/.local /home/node/.local/state /home/node/.local/state/dstack-mcp
COPY --from=build /build/dist /opt/dstack-mcp
LABEL io.modelcontextprotocol.server.name="io.github.dstack-mcp/dstack-mcp"
ENV DSTACK_MCP_CLI=/opt/dstack/bin/dstack DSTACK_MCP_WORKSPACE=/workspace
USER node
WORKDIR /workspace
ENTRYPOINT ["node", "/opt/dstack-mcp/dstack-mcp.mjs"]
