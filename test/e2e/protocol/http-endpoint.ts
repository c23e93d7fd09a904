import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import {
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from '@modelcontextprotocol/server';
import { createEngine } from '../../../src/bin/engine.ts';
import { describeTool } from '../../../scripts/docs/describe-tool.ts';
import { createLog } from '../../../src/observability/create-log.ts';
import { createServerFactory } from '../../../src/mcp/server.ts';
import type { ServerFactory } from '../../../src/mcp/server.ts';
import { readSettings } from '../../../src/settings/settings.ts';
import { tools } from '../../../tools/index.ts';
import { suiteTools } from './suite-tools.ts';

/** This server's factory as an HTTP endpoint on the loopback interface, because the suite needs HTTP. */
export interface HttpEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/** Opens an endpoint for both protocol eras, with the settings of this environment. */
export async function openHttpEndpoint(env: Readonly<Record<string, string>>): Promise<HttpEndpoint> {
  const settings = readSettings({}, { ...env, DSTACK_MCP_LOG_LEVEL: 'silent' });
  const all = [...tools, ...suiteTools];
  const engine = createEngine({ settings, env, tools: all });
  const factory = createServerFactory({
    settings,
    tools: all.map(describeTool),
    engine: () => Promise.resolve(engine),
    log: createLog('silent'),
  });
  const web = serveWeb(factory);
  const { url, stop } = await listen(web.fetch);
  return {
    url,
    async close() {
      stop();
      await web.close();
      factory.close();
      await engine.close();
    },
  };
}

interface Web {
  readonly fetch: (request: Request) => Promise<Response>;
  close(): Promise<void>;
}

/** The newer era creates a server for each request; the older one creates one for each session, as over stdio. */
function serveWeb({ create }: ServerFactory): Web {
  const modern = createMcpHandler(create, { legacy: 'reject' });
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  const answerLegacy = async (request: Request): Promise<Response> => {
    const id = request.headers.get('mcp-session-id');
    if (id !== null)
      return sessions.get(id)?.handleRequest(request) ?? new Response('no such session', { status: 404 });
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (made) => void sessions.set(made, transport),
      onsessionclosed: (closed) => void sessions.delete(closed),
    });
    await (await create()).connect(transport);
    return transport.handleRequest(request);
  };
  return {
    fetch: async (request) => ((await isLegacyRequest(request)) ? answerLegacy(request) : modern.fetch(request)),
    async close() {
      await modern.close();
      await Promise.all([...sessions.values()].map((transport) => transport.close()));
    },
  };
}

async function listen(fetch: Web['fetch']): Promise<{ url: string; stop: () => void }> {
  const answer = getRequestListener(
    async (request) =>
      // Required on a loopback address: a page in a browser could otherwise reach it by another name.
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins()) ??
      (await fetch(request)),
    { overrideGlobalObjects: false },
  );
  const listener = createServer((request, response) => void answer(request, response));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the endpoint has no port');
  const stop = (): void => {
    listener.closeAllConnections();
    listener.close();
  };
  return { url: `http://127.0.0.1:${address.port}/mcp`, stop };
}
