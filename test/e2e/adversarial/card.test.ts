import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { startRawServer } from '../../support/raw-server.ts';
import type { RawServer } from '../../support/raw-server.ts';
import { createRecorder } from '../../support/call-recorder.ts';
import type { Recorder } from '../../support/call-recorder.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import { until } from '../../support/wait.ts';

const atEnd = collectEnds(afterAll);
const RUN = uniqueName('click');
const FILE = `${RUN}.dstack.yml`;
const answered = z.looseObject({
  result: z.looseObject({
    isError: z.boolean().optional(),
    structuredContent: z.record(z.string(), z.unknown()),
    _meta: z.looseObject({ 'dstack-mcp/card': z.looseObject({ nonce: z.string().optional() }).optional() }).optional(),
  }),
});
type Result = z.output<typeof answered>['result'];

const CARDS = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };

let lastId = 0;
/** Calls a tool in the newer era, in which each request declares the client's capabilities. */
async function call(name: string, input: object, capabilities: object = CARDS): Promise<Result> {
  const id = (lastId += 1);
  server.request(id, 'tools/call', {
    name,
    arguments: input,
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
      'io.modelcontextprotocol/clientCapabilities': capabilities,
    },
  });
  const messages = await until(
    () => Promise.resolve(server.messages()),
    (all) => all.some((message) => message.id === id),
  );
  return answered.parse(messages.find((message) => message.id === id)).result;
}

/** Plans, and shows the card. */
async function showPlan(): Promise<{ plan: Result; nonce: string }> {
  const plan = await call('plan', { file: FILE });
  const nonce = plan._meta?.['dstack-mcp/card']?.nonce ?? '';
  expect(nonce).toMatch(/^[0-9a-f]{32}$/);
  await call('decide', { nonce, decision: 'shown' });
  return { plan, nonce };
}

let recorder: Recorder;
let server: RawServer;
let plan: Result;
let nonce: string;

beforeAll(async () => {
  const home = await createTestHome({ atEnd });
  recorder = await createRecorder(home);
  await home.write(FILE, task(RUN));
  server = startRawServer({ ...home.env, DSTACK_MCP_CLI: recorder.cli }, atEnd);
  ({ plan, nonce } = await showPlan());
});

/** Attempts to imitate a person's click, with and without the card's nonce. */
const FORGED: readonly (readonly [string, () => Record<string, unknown>, 'token-unknown' | 'invalid-input'])[] = [
  ['an invented nonce', () => ({ nonce: '0'.repeat(32), decision: 'approve' }), 'token-unknown'],
  ['the token as nonce', () => ({ nonce: plan.structuredContent['token'], decision: 'approve' }), 'token-unknown'],
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
  [
    'the token next to it',
    () => ({ nonce, decision: 'approve', token: plan.structuredContent['token'] }),
    'invalid-input',
  ],
  ['flags next to it', () => ({ nonce, decision: 'approve', flags: { '--max-price': 99 } }), 'invalid-input'],
];

describe('refused before dstack runs, and the card stays valid', () => {
  test.each(FORGED)('%s', async (_what, input, code) => {
    const before = await recorder.calls();
    const refused = await call('decide', input());
    expect(refused).toMatchObject({ isError: true, structuredContent: { outcome: 'refused', code } });
    expect(JSON.stringify(refused)).not.toContain(nonce);
    expect(await recorder.calls()).toEqual(before);
  });

  test('the nonce as a token', async () => {
    const refused = await call('apply', { token: nonce });
    expect(refused.structuredContent).toMatchObject({ outcome: 'refused', code: 'token-unknown' });
  });

  test('the card is still valid', async () => {
    await expectValid({ plan, nonce });
  });
});

/** Expects that a shown card still decides. */
async function expectValid(shown: { plan: Result; nonce: string }, capabilities: object = CARDS): Promise<void> {
  const { token } = shown.plan.structuredContent;
  const waiting = await call('apply', { token }, capabilities);
  expect(waiting.structuredContent['outcome']).toBe('waiting-for-person');
  const declined = await call('decide', { nonce: shown.nonce, decision: 'decline' });
  expect(declined.structuredContent['code']).toBe('person-declined');
  expect(await runNames()).not.toContain(RUN);
}

test('a nonce does nothing in a client without cards, nor does the token bypass the card that another one shows', async () => {
  const shown = await showPlan();
  const withoutCards = [
    {},
    { extensions: {} },
    { extensions: { 'io.modelcontextprotocol/ui': {} } },
    { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html'] } } },
    { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: 'text/html;profile=mcp-app' } } },
    { experimental: CARDS.extensions },
  ];
  for (const capabilities of withoutCards) {
    const refused = await call('decide', { nonce: shown.nonce, decision: 'approve' }, capabilities);
    expect(refused.structuredContent).toMatchObject({ outcome: 'refused', code: 'person-needed' });
    const planned = await call('plan', { file: FILE }, capabilities);
    expect(planned.structuredContent['outcome']).toBe('done');
    expect(planned._meta?.['dstack-mcp/card']).toBeUndefined();
  }
  await expectValid(shown, {});
});
