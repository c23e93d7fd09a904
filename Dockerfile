# The server with a dstack CLI. It needs the user's ~/.dstack and a folder with configurations:
#   docker build -t dstack-mcp .
#   docker run -i --rm -v ~/.dstack:/home/node/.dstack -v "$PWD:/workspace" dstack-mcp
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
  && install -d -o node /workspace /home/node/.dstack
COPY --from=build /build/dist /opt/dstack-mcp
LABEL io.modelcontextprotocol.server.name="io.github.dstack-mcp/dstack-mcp"
ENV DSTACK_MCP_CLI=/opt/dstack/bin/dstack DSTACK_MCP_WORKSPACE=/workspace
USER node
WORKDIR /workspace
ENTRYPOINT ["node", "/opt/dstack-mcp/dstack-mcp.mjs"]
