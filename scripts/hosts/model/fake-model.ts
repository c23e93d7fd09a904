import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { anthropic } from './anthropic.ts';
import { chatCompletions } from './chat-completions.ts';
import { gemini } from './gemini.ts';
import type { Answer, ModelApi, ModelRequest, Move } from './model-api.ts';
import { responses } from './responses.ts';

const APIS: readonly ModelApi[] = [anthropic, chatCompletions, responses, gemini];

/** Returns the next move of a scripted model; undefined never answers. */
export type Script = (request: ModelRequest) => Move | undefined;

/** A model endpoint on loopback that plays a script. */
export interface FakeModel {
  readonly url: string;
  /** Requests that it couldn't read or answer. */
  readonly problems: readonly string[];
  stop(): Promise<void>;
}

/** Starts an endpoint that speaks the APIs of the hosts: Anthropic's, OpenAI's two and Gemini's. */
export async function startFakeModel(script: Script): Promise<FakeModel> {
  let serial = 0;
  const problems: string[] = [];
  const server = createServer((request, response) => {
    respond(request, response, { script, id: `m${(serial += 1)}` }).catch((error: unknown) => {
      problems.push(`${request.url ?? ''}: ${String(error)}`);
      // Not an error of the server, which hosts would try again.
      response.writeHead(400).end(JSON.stringify({ error: { message: String(error) } }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the fake model has no port');
  return {
    problems,
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { script, id }: { script: Script; id: string },
): Promise<void> {
  const url = request.url ?? '';
  const api = request.method === 'POST' ? APIS.find(({ path }) => path.test(url)) : undefined;
  const body: unknown = JSON.parse((await readAll(request)) || '{}');
  if (api === undefined) return sendOther(url, response);
  const move = script(api.read(body));
  if (move !== undefined)
    send(response, api.answer(move, { id, isStream: isStreamed(url, body), model: modelOf(body) }));
}

/** Lists of models and counts of tokens, which some hosts ask for first. */
function sendOther(url: string, response: ServerResponse): void {
  const isList = /\/models(\?|$)/.test(url);
  const known = isList || /count_?tokens/i.test(url);
  response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' });
  const list = { object: 'list', data: [{ id: 'fake', object: 'model', created: 1, owned_by: 'fake' }], models: [] };
  response.end(JSON.stringify(isList ? list : known ? { input_tokens: 100, totalTokens: 100 } : { error: 'unknown' }));
}

function send(response: ServerResponse, answer: Answer): void {
  if (answer.kind === 'json') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (const { event, data } of answer.events) {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    response.write(`${event === undefined ? '' : `event: ${event}\n`}data: ${text}\n\n`);
  }
  response.end();
}

const isStreamed = (url: string, body: unknown): boolean =>
  /:stream/.test(url) || (typeof body === 'object' && body !== null && 'stream' in body && body.stream === true);

const modelOf = (body: unknown): string =>
  typeof body === 'object' && body !== null && 'model' in body ? String(body.model) : 'fake';

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
