import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listTools, TOOL_LIST } from '../../src/mcp/tools.ts';
import type { ListedFor } from '../../src/mcp/tools.ts';
import { tools } from '../../tools/index.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { ClientKind, TestClient } from '../support/connect.ts';
import { startRawServer } from '../support/raw-server.ts';
import { until } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
let env: Readonly<Record<string, string>>;

beforeAll(async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'surface-'));
  atEnd(() => rm(home, { recursive: true, force: true, maxRetries: 3 }));
  // No dstack anywhere: the lists don't wait for it.
  env = { HOME: home, PATH: '/nonexistent', DSTACK_MCP_CLI: path.join(home, 'none'), DSTACK_MCP_DIALOG: 'off' };
});

const CASES: readonly (ListedFor & { readonly kind: ClientKind })[] = [
  { kind: CLIENTS[0], cards: false, structured: false },
  { kind: CLIENTS[0], cards: true, structured: false },
  { kind: CLIENTS[0], cards: false, structured: true },
  { kind: CLIENTS[1], cards: true, structured: true },
  { kind: CLIENTS[2], cards: true, structured: true },
  { kind: CLIENTS[2], cards: false, structured: false },
];

describe.each(CASES)('with the $kind, cards: $cards, structured: $structured:', ({ kind, cards, structured }) => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connect({ env, kind, showsCards: cards, structured, atEnd });
  });

  test('the tools are those for this client', async () => {
    expect(await client.listTools()).toEqual(listTools(TOOL_LIST, { cards, structured }));
  });

  test('the card’s page is listed only for clients with cards', async () => {
    const listed = JSON.stringify(await client.features.listResources());
    expect(listed.includes('ui://dstack/card')).toBe(cards);
    expect(listed).toContain('dstack://runs');
    expect(listed).toContain('skill://dstack/SKILL.md');
  });

  test('the text is the result: structured content only if the operator wants it, and facts for the card', async () => {
    const { text, structured: content, card } = await client.call('ps');
    expect(text).toContain('outcome: failed | code: cli-not-found');
    const facts = expect.objectContaining({ outcome: 'failed', code: 'cli-not-found' });
    expect(content).toEqual(structured ? facts : undefined);
    expect(card).toEqual(cards ? { view: 'none', facts } : undefined);
  });
});

test('with a prefix, tools, instructions and next steps have it, and the names without it still work', async () => {
  const client = await connect({ env: { ...env, DSTACK_MCP_TOOL_PREFIX: 'dstack_' }, structured: false, atEnd });
  const listed = await client.listTools();
  expect(listed).toEqual(listTools(TOOL_LIST, { cards: false, structured: false, prefix: 'dstack_' }));
  expect(client.instructions()).toContain('Call dstack_apply with that token');
  for (const tool of ['dstack_apply', 'apply'])
    expect((await client.call(tool, {})).text).toContain('Next: dstack_apply takes: token');
});

test('a client of a protocol without structured content never gets it, nor a schema for it', async () => {
  const server = startRawServer({ ...env, DSTACK_MCP_STRUCTURED: 'on' });
  const capabilities = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };
  const clientInfo = { name: 'old', version: '1.0.0' };
  server.request(1, 'initialize', { protocolVersion: '2025-03-26', capabilities, clientInfo });
  server.notify('notifications/initialized');
  server.request(2, 'tools/list');
  server.request(3, 'tools/call', { name: 'ps', arguments: {} });
  const messages = await until(
    () => Promise.resolve(server.messages()),
    (all) => [1, 2, 3].every((id) => all.some((message) => message.id === id)),
  );
  const resultOf = (id: number): string => JSON.stringify(messages.find((message) => message.id === id));
  expect(resultOf(1)).toContain('"protocolVersion":"2025-03-26"');
  expect(resultOf(2)).not.toContain('outputSchema');
  expect(resultOf(3)).toContain('outcome: failed | code: cli-not-found');
  expect(resultOf(3)).not.toContain('structuredContent');
});

test('every tool that changes dstack takes a token or a nonce; the others change only this computer, or what a run does', () => {
  const without = tools.filter(
    ({ effect, input, card }) => effect !== 'read' && card !== 'buttons' && !Object.hasOwn(input.shape, 'token'),
  );
  expect(without.map(({ name }) => name)).toEqual(['attach', 'exec', 'copy', 'request', 'write_config']);
});

test('only `decide` is for the buttons of the card, and takes a nonce', () => {
  const buttons = tools.filter(({ card }) => card === 'buttons');
  expect(buttons.map(({ name, input }) => [name, Object.keys(input.shape)])).toEqual([
    ['decide', ['nonce', 'decision', 'name']],
  ]);
});
