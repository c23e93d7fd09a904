import * as z from 'zod';
import { project, resourceName } from '../src/core/fields.ts';
import { refuse } from '../src/core/report.ts';
import { requestFacts } from '../src/remote/report-answer.ts';
import { defineTool } from '../src/tool/tool.ts';

/** None of them can change the method, the host or the path on the way, or carry a credential. */
const HEADERS = ['accept', 'accept-language', 'content-type', 'if-none-match', 'if-modified-since', 'range'] as const;

const MAX_BODY = 100_000;

const headers = z
  .record(z.string(), z.string().regex(/^[\x20-\x7e]{0,200}$/, 'one line of at most 200 plain characters'))
  .optional();

const message = z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string().max(MAX_BODY) });

/** Models know the form of a message, so the list doesn't describe it. */
const messages = z.array(z.record(z.string(), z.unknown())).min(1).max(100).pipe(z.array(message));

export const request = defineTool({
  name: 'request',
  title: 'Ask a service',
  description:
    "Ask or test a deployed service (endpoint, API, model): sends an HTTP request, or a chat to its model, with the user's token. `load` measures latency, tokens per second, price per million tokens.",
  effect: 'change',
  alsoReads: true,
  card: 'use',
  input: z.strictObject({
    run: resourceName,
    path: z.string().max(2_000).optional().describe('Within the service'),
    method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
    headers,
    body: z.union([z.string().max(MAX_BODY), z.record(z.string(), z.unknown())]).optional(),
    chat: z
      .union([z.string().min(1).max(MAX_BODY), messages])
      .optional()
      .describe('Text or messages, without path'),
    max_tokens: z.int().min(1).max(100_000).optional(),
    load: z
      .strictObject({ requests: z.int().min(1).max(200), concurrency: z.int().min(1).max(16).optional() })
      .optional(),
    project,
  }),
  facts: requestFacts,
  async run(
    { run, path, method, headers: given = {}, body, chat, max_tokens: maxTokens, load, project: of },
    { requests },
  ) {
    const others = { path, method, body, headers: Object.keys(given).length === 0 ? undefined : given };
    const clash = Object.entries(others).filter(([, value]) => value !== undefined && chat !== undefined);
    if (clash.length > 0)
      refuse(`\`chat\` goes without ${clash.map(([name]) => name).join(', ')}.`, 'Use one or the other.');
    if (chat === undefined && maxTokens !== undefined) refuse('`max_tokens` is for `chat`.', 'Put it into `body`.');
    if (body !== undefined && (method === undefined || method === 'GET' || method === 'HEAD'))
      refuse('A `body` needs a method that takes one.', 'Set `method` to POST, PUT, PATCH or DELETE.');
    const asked = typeof chat === 'string' ? [{ role: 'user', content: chat }] : chat;
    return requests.send({
      run,
      project: of,
      method: method ?? 'GET',
      path: path ?? '/',
      headers: { ...(typeof body === 'object' ? { 'content-type': 'application/json' } : {}), ...safeHeaders(given) },
      body: typeof body === 'object' ? jsonOf(body) : body,
      chat: asked === undefined ? undefined : { messages: asked, maxTokens },
      load: load === undefined ? undefined : { requests: load.requests, concurrency: load.concurrency ?? 1 },
    });
  },
});

function safeHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(given).map(([name, value]) => [name.toLowerCase(), value] as const);
  const unsafe = entries.map(([name]) => name).filter((name) => !HEADERS.some((one) => one === name));
  if (unsafe.length > 0)
    refuse(
      `The headers ${unsafe.map((name) => JSON.stringify(name)).join(', ')} can't be set.`,
      `Only these can: ${HEADERS.join(', ')}.`,
    );
  return Object.fromEntries(entries);
}

function jsonOf(body: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(body);
  if (text.length > MAX_BODY) refuse('The `body` is too long.', `Send at most ${MAX_BODY} characters.`);
  return text;
}
