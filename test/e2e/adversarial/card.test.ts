import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import type { Answer, TestClient } from '../../support/connect.ts';
import { startRawServer } from '../../support/raw-server.ts';
import type { RawServer } from '../../support/raw-server.ts';
import { createRecorder } from '../../support/call-recorder.ts';
import type { Recorder } from '../../support/call-recorder.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { until } from '../../support/wait.ts';

const atEnd = collectEnds(afterAll);
const RUN = uniqueName('click');
let home: TestHome;
let recorder: Recorder;
let client: TestClient;
let plan: Answer;
let nonce: string;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  recorder = await createRecorder(home);
  await home.write(`${RUN}.dstack.yml`, task(RUN));
  const env = { ...home.env, DSTACK_MCP_CLI: recorder.cli };
  client = await connect({ env, showsCards: true, atEnd });
  plan = await client.call('plan', { file: `${RUN}.dstack.yml` });
  nonce = String(plan.card?.['nonce']);
  await client.call('decide', { nonce, decision: 'shown' });
});

/** Attempts to imitate a person's click, with and without the card's nonce. */
const FORGED: readonly (readonly [string, () => Record<string, unknown>, 'token-unknown' | 'invalid-input'])[] = [
  ['an invented nonce', () => ({ nonce: '0'.repeat(32), decision: 'approve' }), 'token-unknown'],
  ['the token as nonce', () => ({ nonce: plan.facts['token'], decision: 'approve' }), 'token-unknown'],
  [
    'the nonce in capitals with a space',
    () => ({ nonce: ` ${nonce.toUpperCase()}`, decision: 'approve' }),
    'token-unknown',
  ],
  ['half of the nonce', () => ({ nonce: nonce.slice(0, 16), decision: 'approve' }), 'token-unknown'],
  ['the name of a property', () => ({ nonce: '__proto__', decision: 'approve' }), 'token-unknown'],
  ['an empty nonce', () => ({ nonce: '', decision: 'approve' }), 'invalid-input'],
  ['no nonce', () => ({ decision: 'approve' }), 'invalid-input'],
  ['a list of nonces', () => ({ nonce: [nonce], decision: 'approve' }), 'invalid-input'],
  ['true as nonce', () => ({ nonce: true, decision: 'approve' }), 'invalid-input'],
  ['a nonce without end', () => ({ nonce: nonce.repeat(10_000), decision: 'approve' }), 'invalid-input'],
  ['a decision in other words', () => ({ nonce, decision: 'yes' }), 'invalid-input'],
  ['a decision that is true', () => ({ nonce, decision: true }), 'invalid-input'],
  ['no decision', () => ({ nonce }), 'invalid-input'],
  ['a file next to it', () => ({ nonce, decision: 'approve', file: 'other.dstack.yml' }), 'invalid-input'],
  ['the token next to it', () => ({ nonce, decision: 'approve', token: plan.facts['token'] }), 'invalid-input'],
  ['flags next to it', () => ({ nonce, decision: 'approve', flags: { '--max-price': 99 } }), 'invalid-input'],
];

describe('refused before dstack runs, and the card stays valid', () => {
  test.each(FORGED)('%s', async (_what, input, code) => {
    const before = await recorder.calls();
    const refused = await client.call('decide', input());
    expect(refused).toMatchObject({ isError: true, facts: { outcome: 'refused', code } });
    expect(JSON.stringify(refused)).not.toContain(nonce);
    expect(await recorder.calls()).toEqual(before);
  });

  test('the nonce as a token', async () => {
    const refused = await client.call('apply', { token: nonce });
    expect(refused.facts).toMatchObject({ outcome: 'refused', code: 'token-unknown' });
  });

  test('the card is still valid', async () => {
    expect((await client.call('apply', { token: plan.facts['token'] })).facts['outcome']).toBe('waiting-for-person');
    expect(await runNames()).not.toContain(RUN);
    const declined = await client.call('decide', { nonce, decision: 'decline' });
    expect(declined.facts['code']).toBe('person-declined');
  });
});

const answered = z.looseObject({
  result: z.looseObject({
    structuredContent: z.record(z.string(), z.unknown()),
    _meta: z.looseObject({ 'dstack-mcp/card': z.looseObject({ nonce: z.string().optional() }).optional() }).optional(),
  }),
});

/** Calls a tool in the newer era, in which each request declares the client's capabilities. */
async function callWith(
  server: RawServer,
  capabilities: object,
  call: { readonly id: number; readonly name: string; readonly input: object },
): Promise<z.output<typeof answered>['result']> {
  server.request(call.id, 'tools/call', {
    name: call.name,
    arguments: call.input,
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
      'io.modelcontextprotocol/clientCapabilities': capabilities,
    },
  });
  const messages = await until(
    () => Promise.resolve(server.messages()),
    (all) => all.some(({ id }) => id === call.id),
  );
  return answered.parse(messages.find(({ id }) => id === call.id)).result;
}

test('a nonce does nothing in a client without cards', async () => {
  const server = startRawServer(home.env);
  const cards = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };
  const input = { file: `${RUN}.dstack.yml` };
  const shown = await callWith(server, cards, { id: 1, name: 'plan', input });
  const leaked = shown._meta?.['dstack-mcp/card']?.nonce;
  expect(leaked).toMatch(/^[0-9a-f]{32}$/);
  const withoutCards = [
    {},
    { extensions: {} },
    { extensions: { 'io.modelcontextprotocol/ui': {} } },
    { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html'] } } },
    { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: 'text/html;profile=mcp-app' } } },
    { experimental: cards.extensions },
  ];
  for (const [index, capabilities] of withoutCards.entries()) {
    const decision = { nonce: leaked, decision: 'approve' };
    const refused = await callWith(server, capabilities, { id: 10 + index, name: 'decide', input: decision });
    expect(refused.structuredContent).toMatchObject({ outcome: 'refused', code: 'person-needed' });
    const planned = await callWith(server, capabilities, { id: 30 + index, name: 'plan', input });
    expect(planned.structuredContent['outcome']).toBe('done');
    expect(planned._meta?.['dstack-mcp/card']).toBeUndefined();
  }
  // Nor does the token bypass its own client's card, once that is shown.
  const onScreen = { nonce: leaked, decision: 'shown' };
  await callWith(server, cards, { id: 49, name: 'decide', input: onScreen });
  const { token } = shown.structuredContent;
  const waiting = await callWith(server, {}, { id: 50, name: 'apply', input: { token } });
  expect(waiting.structuredContent['outcome']).toBe('waiting-for-person');
  const declined = { nonce: leaked, decision: 'decline' };
  const no = await callWith(server, cards, { id: 51, name: 'decide', input: declined });
  expect(no.structuredContent['code']).toBe('person-declined');
  expect(await runNames()).not.toContain(RUN);
});
