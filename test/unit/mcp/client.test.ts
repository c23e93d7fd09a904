import { InMemoryTransport, McpServer, parseJSONRPCMessage } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import * as z from 'zod';
import type { Answer } from '../../../src/core/report.ts';
import { askForAnswer, readClientCapabilities } from '../../../src/mcp/client.ts';

const CARD = 'text/html;profile=mcp-app';
const cards = (settings: unknown): object => ({ extensions: { 'io.modelcontextprotocol/ui': settings } });

test.each<[string, unknown, boolean, boolean]>([
  ['nothing', {}, false, false],
  ['no capabilities at all', undefined, false, false],
  ['something invalid', 'everything', false, false],
  ['elicitation without a mode, which once meant forms', { elicitation: {} }, true, false],
  ['forms by name', { elicitation: { form: {}, url: {} } }, true, false],
  ['only URLs', { elicitation: { url: {} } }, false, false],
  ['cards', cards({ mimeTypes: [CARD] }), false, true],
  ['cards among others', cards({ mimeTypes: ['text/plain', CARD], more: 1 }), false, true],
  ['both', { elicitation: {}, ...cards({ mimeTypes: [CARD] }) }, true, true],
  ['other pages', cards({ mimeTypes: ['text/html'] }), false, false],
  ['cards without MIME types', cards({}), false, false],
  ['cards in an unknown form, and forms', { elicitation: {}, ...cards({ mimeTypes: CARD }) }, true, false],
  ['cards as true', cards(true), false, false],
  [
    'cards outside of extensions',
    { experimental: { 'io.modelcontextprotocol/ui': { mimeTypes: [CARD] } } },
    false,
    false,
  ],
])('a client that declares %s', (_what, declared, showsForms, showsCards) => {
  expect(readClientCapabilities(declared)).toEqual({ showsForms, showsCards, hasRoots: false });
});

test('roots count if they are declared, and an unknown form of them hides nothing else', () => {
  expect(readClientCapabilities({ roots: {} }).hasRoots).toBe(true);
  expect(readClientCapabilities({ roots: { listChanged: true } }).hasRoots).toBe(true);
  expect(readClientCapabilities({ roots: true, elicitation: {} })).toMatchObject({ hasRoots: false, showsForms: true });
});

/** Has a client of protocol 2025-11-25 answer a form with this message, and returns how the answer is read. */
async function readAnswerTo(reply: Readonly<Record<string, unknown>>): Promise<Answer> {
  const server = new McpServer({ name: 'server', version: '1' });
  const question = { kind: 'question', message: 'Create?', field: { kind: 'name' }, nonce: 'n' } as const;
  const read = new Promise<Answer>((resolve) => {
    server.registerTool('ask', { inputSchema: z.object({}) }, async (_input, context) => {
      resolve(await askForAnswer(question, context));
      return { content: [] };
    });
  });
  const [client, transport] = InMemoryTransport.createLinkedPair();
  const send = (message: object): Promise<void> => client.send(parseJSONRPCMessage({ jsonrpc: '2.0', ...message }));
  client.onmessage = (message) => {
    if ('method' in message && 'id' in message) void send({ id: message.id, ...reply });
  };
  await server.connect(transport);
  const clientInfo = { name: 'client', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo };
  await send({ id: 1, method: 'initialize', params });
  await send({ method: 'notifications/initialized' });
  await send({ id: 2, method: 'tools/call', params: { name: 'ask', arguments: {} } });
  return read;
}

test('only what is an answer to a form counts as one', async () => {
  for (const reply of [
    { error: { code: -32_601, message: 'Method not found' } },
    { result: { answer: 'yes' } },
    { result: { action: 'maybe' } },
    { result: { action: 'accept', content: 'yes' } },
  ])
    expect(await readAnswerTo(reply), JSON.stringify(reply)).toEqual({ kind: 'unusable', nonce: 'n' });
  const accepted = { result: { action: 'accept', content: { name: 'train' } } };
  expect(await readAnswerTo(accepted)).toEqual({ kind: 'accepted', content: { name: 'train' }, nonce: 'n' });
  expect(await readAnswerTo({ result: { action: 'decline' } })).toEqual({ kind: 'declined', nonce: 'n' });
  expect(await readAnswerTo({ result: { action: 'cancel' } })).toEqual({ kind: 'cancelled', nonce: 'n' });
});
