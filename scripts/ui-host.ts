import type { Client } from '@modelcontextprotocol/client';
import { build } from 'esbuild';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import path from 'node:path';
import * as z from 'zod';

const CARD_URI = 'ui://dstack/card';
/** A tool call has a few hundred bytes. */
const MAX_BODY_BYTES = 100_000;
/** Longer than the server's own timeout. */
const CALL_TIMEOUT_MS = 120_000;

/** A page that shows cards as an MCP Apps host does, connected to a real server. */
export interface CardHostServer {
  readonly url: string;
  close(): Promise<void>;
}

const call = z.strictObject({
  name: z.string(),
  input: z.record(z.string(), z.unknown()),
  /** The caller, which may call only the tools that are visible to it. */
  by: z.enum(['model', 'card']),
});
const visibility = z.looseObject({ ui: z.looseObject({ visibility: z.array(z.string()) }) });

/** Serves the page on the loopback interface, at an unguessable URL. */
export async function startCardHost(client: Client): Promise<CardHostServer> {
  const script = await bundleHostPage();
  const secret = randomBytes(16).toString('hex');
  const answers: Readonly<Record<string, (request: IncomingMessage) => Promise<Reply>>> = {
    'GET ': () => Promise.resolve({ type: 'text/html', body: PAGE }),
    'GET host.js': () => Promise.resolve({ type: 'text/javascript', body: script }),
    'GET card': async () => toJson(await readCard(client)),
    'POST call': async (request) => toJson(await callTool(client, call.parse(JSON.parse(await readBody(request))))),
  };
  const server = createServer((request, response) => {
    const [, given, what = ''] = (request.url ?? '').split('/');
    const answer = given === secret && isLocal(request) ? answers[`${request.method ?? ''} ${what}`] : undefined;
    void (answer?.(request) ?? Promise.resolve({ status: 404, type: 'text/plain', body: 'Not found.' }))
      .catch((error: unknown): Reply => ({ status: 400, type: 'text/plain', body: String(error) }))
      .then((reply) => send(response, reply));
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/${secret}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Reply {
  readonly status?: number;
  readonly type: string;
  readonly body: string;
}

const toJson = (value: unknown): Reply => ({ type: 'application/json', body: JSON.stringify(value) });

/** Rejects requests with other host names, against DNS rebinding. */
const isLocal = ({ headers }: IncomingMessage): boolean => /^127\.0\.0\.1:\d+$/.test(headers.host ?? '');

// The cards are next to each other, and the scroll bar is always visible, so that no frame moves: Chromium discards clicks into a frame
// that has moved within the last half second.
const PAGE = `<!doctype html>
<html lang="en" data-theme="light">
<head><meta charset="utf-8"><title>Cards of dstack-mcp</title><link rel="icon" href="data:,">
<style>
  :root { color-scheme: light; background: #fff; } :root[data-theme="dark"] { color-scheme: dark; background: #17191e; }
  html { overflow-y: scroll; } body { margin: 0; font: 14px system-ui; } nav { display: flex; flex-wrap: wrap; gap: 6px; padding: 10px; background: #8882; }
  nav input { flex: 1; min-width: 16em; } .cards { display: flex; align-items: flex-start; gap: 24px; padding: 24px; }
  iframe { flex: none; width: 760px; max-width: 100%; height: 120px; border: 1px solid #8884; border-radius: 12px; }
</style></head>
<body><script type="module" src="host.js"></script></body></html>`;

function send(response: ServerResponse, { status = 200, type, body }: Reply): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' });
  response.end(body);
}

async function bundleHostPage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path.resolve(import.meta.dirname, '../ui/host-page/host-page.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    logLevel: 'warning',
  });
  return outputFiles[0]?.text ?? '';
}

async function readCard(client: Client): Promise<string> {
  const { contents } = await client.readResource({ uri: CARD_URI });
  const [content] = contents;
  if (content === undefined || !('text' in content)) throw new Error('the server has no card');
  return content.text;
}

async function callTool(client: Client, { name, input, by }: z.output<typeof call>): Promise<unknown> {
  const { tools } = await client.listTools();
  const tool = tools.find((one) => one.name === name);
  const meta = visibility.safeParse(tool?._meta);
  const isFor = meta.success ? meta.data.ui.visibility : ['model', 'app'];
  // MCP Apps hosts enforce the visibility of tools.
  if (!isFor.includes(by === 'card' ? 'app' : 'model')) throw new Error(`${name} is not visible to the ${by}`);
  return client.callTool({ name, arguments: input }, { timeout: CALL_TIMEOUT_MS });
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > MAX_BODY_BYTES) throw new Error('the request body is too long');
  }
  return body;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (typeof address === 'object' && address !== null) resolve(address.port);
      else reject(new Error('the server has no port'));
    });
  });
}
