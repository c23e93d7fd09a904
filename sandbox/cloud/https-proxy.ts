import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { generate } from 'selfsigned';
import { readBody } from '../machines/http-json.ts';
import type { CloudAnswer, CloudRequest, CloudService } from './cloud-service.ts';

export interface HttpsProxy {
  readonly url: string;
  /** The certificate that clients must trust. */
  readonly certificate: string;
  /** All requests, in order. A request to a host that isn't simulated is recorded as `CONNECT` with status 502. */
  readonly requests: readonly RecordedRequest[];
  stop(): Promise<void>;
}

export interface RecordedRequest extends Omit<CloudRequest, 'headers'> {
  readonly status: number;
}

/** Starts an HTTPS proxy that answers for the given hosts and blocks all other traffic. */
export async function startHttpsProxy(services: ReadonlyMap<string, CloudService>): Promise<HttpsProxy> {
  const { cert, key } = await createCertificate([...services.keys()]);
  const secureContext = tls.createSecureContext({ key, cert });
  const requests: RecordedRequest[] = [];
  const sockets = new Set<Socket>();
  const origin = http.createServer((request, response) => {
    void answer(request, response, { services, requests });
  });
  const proxy = http.createServer((request, response) => {
    requests.push({ method: request.method ?? '', host: '', path: request.url ?? '', body: undefined, status: 502 });
    response.writeHead(502).end('not simulated');
  });
  proxy.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  proxy.on('connect', (request: http.IncomingMessage, socket: Socket) => {
    socket.on('error', () => socket.destroy());
    const host = (request.url ?? '').split(':')[0] ?? '';
    if (!services.has(host)) {
      requests.push({ method: 'CONNECT', host, path: '', body: undefined, status: 502 });
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const secure = new tls.TLSSocket(socket, { isServer: true, secureContext });
    secure.on('error', () => socket.destroy());
    origin.emit('connection', secure);
  });
  await new Promise<void>((resolve, reject) => {
    proxy.once('error', reject);
    proxy.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${readPort(proxy)}`,
    certificate: cert,
    requests,
    stop: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function createCertificate(hosts: readonly string[]): Promise<{ cert: string; key: string }> {
  const now = Date.now();
  const made = await generate([{ name: 'commonName', value: 'dstack sandbox' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - 24 * 3600 * 1000),
    notAfterDate: new Date(now + 300 * 24 * 3600 * 1000),
    // Not an authority, since Python 3.13's strict check requires key identifiers in a chain, but not in a trusted certificate.
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: hosts.map((value) => ({ type: 2, value })) },
    ],
  });
  return { cert: made.cert, key: made.private };
}

interface AnswerContext {
  readonly services: ReadonlyMap<string, CloudService>;
  readonly requests: RecordedRequest[];
}

async function answer(
  message: http.IncomingMessage,
  response: http.ServerResponse,
  context: AnswerContext,
): Promise<void> {
  const request = await readRequest(message);
  const reply = await reachService(request, context.services.get(request.host));
  const { headers: _headers, ...shown } = request;
  context.requests.push({ ...shown, status: reply.status });
  const content = reply.content ?? (reply.json === undefined ? '' : JSON.stringify(reply.json));
  const type = reply.json === undefined ? 'application/octet-stream' : 'application/json';
  response.writeHead(reply.status, { 'content-type': type, ...reply.headers });
  response.end(request.method === 'HEAD' ? undefined : content);
}

async function reachService(request: CloudRequest, service: CloudService | undefined): Promise<CloudAnswer> {
  if (service === undefined) return { status: 502, content: 'not simulated' };
  try {
    return await service(request);
  } catch (error) {
    return { status: 500, json: { error: `the simulated service failed: ${String(error)}` } };
  }
}

async function readRequest(message: http.IncomingMessage): Promise<CloudRequest> {
  const host = (message.headers.host ?? '').split(':')[0] ?? '';
  const url = new URL(message.url ?? '/', `https://${host}`);
  const body = parseJson(await readBody(message));
  return { method: message.method ?? 'GET', host, path: url.pathname, headers: message.headers, body };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readPort(server: http.Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return address.port;
}
