import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { runNames, stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, agreeing, connect } from '../support/connect.ts';
import type { Answer, ClientKind, TestClient } from '../support/connect.ts';
import { createRecorder } from '../support/call-recorder.ts';
import type { Recorder } from '../support/call-recorder.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';
import { inRepository } from '../support/paths.ts';

const atEnd = collectEnds(afterAll);
let home: TestHome;
let recorder: Recorder;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  recorder = await createRecorder(home);
});

/** One of each protocol era. The third only combines them. */
const KINDS = [CLIENTS[0], CLIENTS[2]] as const;

const changeCard = z.strictObject({
  view: z.literal('change'),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  expiresAt: z.iso.datetime(),
  now: z.iso.datetime(),
  operation: z.string(),
  summary: z.looseObject({ action: z.string(), losses: z.array(z.string()) }),
  nameToType: z.string().optional(),
  offers: z
    .array(z.looseObject({ backend: z.string(), instanceType: z.string(), pricePerHour: z.number() }))
    .optional(),
  offersTotal: z.number().optional(),
  machines: z.strictObject({ min: z.number(), max: z.number().optional() }).optional(),
  time: z.object({ hours: z.number(), text: z.string() }).optional(),
  facts: z.looseObject({ outcome: z.string() }),
});

const clients = new Map<ClientKind, Promise<TestClient>>();

/** Returns the shared client of this kind that shows cards, since each server costs seconds of CPU time. Its server logs everything. */
function cardClient(kind: ClientKind = CLIENTS[0]): Promise<TestClient> {
  const env = { ...home.env, DSTACK_MCP_CLI: recorder.cli, DSTACK_MCP_LOG_LEVEL: 'trace' };
  const client = clients.get(kind) ?? connect({ env, kind, showsCards: true, atEnd });
  clients.set(kind, client);
  return client;
}

/** The data that a client received only for its card. */
function cardOf(preview: Answer): z.output<typeof changeCard> {
  const card = changeCard.parse(preview.card);
  for (const read of [preview.text, JSON.stringify(preview.facts)]) expect(read).not.toContain(card.nonce);
  return card;
}

async function planRun(
  client: TestClient,
  { isShown = true } = {},
): Promise<{ name: string; plan: Answer; token: unknown }> {
  const name = uniqueName('card');
  onTestFinished(() => stopRuns(name));
  const plan = await client.call('plan', { file: await home.write(`${name}.dstack.yml`, task(name)) });
  // As the page does once it is on the screen.
  if (isShown && plan.card?.['nonce'] !== undefined)
    await client.call('decide', { nonce: cardOf(plan).nonce, decision: 'shown' });
  return { name, plan, token: plan.facts['token'] };
}

const decide = (client: TestClient, preview: Answer, input: Record<string, unknown>): Promise<Answer> =>
  client.call('decide', { nonce: cardOf(preview).nonce, ...input });

describe.each(KINDS)('with the %s and cards', (kind) => {
  test('Approve submits the run once; the token waits until then, and returns the result afterwards', async () => {
    const client = await cardClient(kind);
    const { name, plan, token } = await planRun(client);
    const card = cardOf(plan);
    expect(card).toMatchObject({
      operation: 'create',
      summary: { action: expect.stringContaining(`Create task ${name}`), resource: { kind: 'task', name } },
    });
    expect(card.nameToType).toBeUndefined();
    expect(card.expiresAt > card.now).toBe(true);
    expect(plan.facts['next']).toMatch(/call apply with the token once they approve.*their click decides/i);

    const early = await client.call('apply', { token });
    expect(early).toMatchObject({ isError: false, facts: { outcome: 'waiting-for-person' } });
    expect(early.facts['next']).toMatch(/approve or decline it in the card/);
    expect(await runNames()).not.toContain(name);

    const approved = await decide(client, plan, { decision: 'approve' });
    expect(approved.facts).toMatchObject({ outcome: 'done', operation: 'create', resource: { kind: 'task', name } });
    expect(approved.facts['consent']).toBe('person-card: a person clicked Approve in the card');
    expect(await runNames()).toContain(name);

    const again = await decide(client, plan, { decision: 'approve' });
    expect(again).toMatchObject({ isError: false, facts: { outcome: 'done' } });
    expect(again.facts['summary']).toMatch(/^This was approved before; nothing was done again\. The result then:/);
    const repeated = await client.call('apply', { token });
    expect(repeated.facts['consent']).toBe(approved.facts['consent']);
    expect(repeated.facts['summary']).toMatch(/^This token was used before; nothing was done again/);
  });

  test('Decline closes the change permanently', async () => {
    const client = await cardClient(kind);
    const { name, plan, token } = await planRun(client);
    for (const answer of [
      await decide(client, plan, { decision: 'decline' }),
      await decide(client, plan, { decision: 'approve' }),
      await client.call('apply', { token }),
    ]) {
      expect(answer).toMatchObject({ isError: true, facts: { outcome: 'refused', code: 'person-declined' } });
      expect(answer.facts['summary']).toMatch(/^The user declined\. Nothing was changed/);
    }
    expect(await runNames()).not.toContain(name);
  });

  test('the page may load nothing, and the tools that have a card link to it', async () => {
    const client = await cardClient(kind);
    const tools = z
      .array(z.looseObject({ name: z.string(), _meta: z.looseObject({ ui: z.unknown() }).optional() }))
      .parse(await client.listTools());
    expect(
      Object.fromEntries(tools.flatMap(({ name, _meta }) => (_meta === undefined ? [] : [[name, _meta.ui]]))),
    ).toEqual({
      ...Object.fromEntries(
        ['plan', 'stop', 'delete', 'ps', 'get', 'offer', 'exec', 'copy', 'request'].map((name) => [
          name,
          { resourceUri: 'ui://dstack/card' },
        ]),
      ),
      decide: { visibility: ['app'] },
    });
    expect(await client.features.readResource({ uri: 'ui://dstack/card' })).toMatchObject({
      contents: [
        {
          uri: 'ui://dstack/card',
          mimeType: 'text/html;profile=mcp-app',
          text: expect.stringMatching(/^<!doctype html>/i),
          _meta: { ui: { csp: {}, permissions: { clipboardWrite: {} } } },
        },
      ],
    });
  });
});

test('a click stops a run; aborting it requires its name', async () => {
  const client = await cardClient();
  const [first, second] = [await planRun(client), await planRun(client)];
  for (const { name, plan } of [first, second]) {
    await decide(client, plan, { decision: 'approve' });
    await waitForRun(client, name, 'running');
  }
  const seen = await client.call('get', { name: first.name });
  expect(seen.card).toMatchObject({ view: 'run' });

  const abort = await client.call('stop', { run: first.name, abort: true });
  expect(cardOf(abort)).toMatchObject({ operation: 'abort', nameToType: first.name });
  for (const name of [undefined, second.name]) {
    const wrong = await decide(client, abort, { decision: 'approve', ...(name === undefined ? {} : { name }) });
    expect(wrong.facts).toMatchObject({ outcome: 'refused', code: 'wrong-name' });
  }
  expect((await client.call('get', { name: first.name })).facts['status']).toBe('running');
  const aborted = await decide(client, abort, { decision: 'approve', name: first.name });
  expect(aborted.facts, aborted.text).toMatchObject({ outcome: 'done', operation: 'abort' });

  // dstack can take a stop back, which is reported as such.
  const stopped = await until(
    async () => {
      const stop = await client.call('stop', { run: second.name });
      expect(cardOf(stop)).toMatchObject({ operation: 'stop' });
      await client.call('decide', { nonce: cardOf(stop).nonce, decision: 'shown' });
      const early = await client.call('apply', { token: stop.facts['token'] });
      expect(early.facts['outcome']).toBe('waiting-for-person');
      return decide(client, stop, { decision: 'approve' });
    },
    ({ facts }) => !String(facts['summary']).includes('took it back'),
  );
  expect(stopped.facts, stopped.text).toMatchObject({ outcome: 'done', operation: 'stop' });
  expect(stopped.facts['consent']).toMatch(/^person-card/);
});

test('the card of a plan has the offers, machines and duration that determine its cost', async () => {
  const client = await cardClient();
  const name = uniqueName('terms');
  const plan = async (configuration: Record<string, unknown>): Promise<Answer> => {
    const answer = await client.call('plan', { file: await home.write(`${name}.dstack.yml`, configuration) });
    expect(answer.facts['outcome'], answer.text).toBe('done');
    return answer;
  };
  const resources = { gpu: 'RTX4090' };
  const priced = await plan(task(name, { max_duration: '3h', resources, fleets: ['cloud'] }));
  const card = cardOf(priced);
  expect(card.time).toEqual({ hours: expect.closeTo(3 + 1 / 6), text: '3h 10m' });
  expect(card.offers?.[0]?.pricePerHour).toBe(z.array(z.number()).parse(priced.facts['priceRange'])[0]);
  expect(card.offersTotal).toBeGreaterThanOrEqual(card.offers?.length ?? Infinity);
  const fleet = cardOf(await plan({ type: 'fleet', name, nodes: 2, resources }));
  expect(fleet.machines).toEqual({ min: 2, max: 2 });
  expect(fleet.time).toBeUndefined();
});

test('each result has the view for its card, and a refused or empty one has none', async () => {
  const client = await cardClient();
  const views = async (tool: string, input: Record<string, unknown> = {}): Promise<unknown> =>
    (await client.call(tool, input)).card?.['view'];
  expect(await views('ps')).toBe('runs');
  expect(await views('offer')).toBe('offers');
  expect(await views('offer', { group_by: ['gpu'] })).toBe('offers');
  const none = 'none';
  expect(await views('get', { name: 'nothing-here' })).toBe(none);
  expect(await views('get', { name: 'nothing-here', type: 'volume' })).toBe(none);
  expect(await views('stop', { run: 'nothing-here' })).toBe(none);
  expect(await views('ps', { last: 0 })).toBe(none);
  expect(await views('plan', { file: await home.write('blocked.dstack.yml', { type: 'task' }) })).toBe(none);
  // Not shown in a card.
  expect(await views('fleet')).toBeUndefined();
});

test('if a person is required, only the card of this client is sufficient', async () => {
  const client = await connect({ env: { ...home.env, DSTACK_MCP_CONFIRM: 'person' }, showsCards: true });
  const { name, plan, token } = await planRun(client);
  expect((await client.call('apply', { token })).facts['outcome']).toBe('waiting-for-person');
  expect((await client.call('doctor')).text).toContain('person: the user is asked with the card');
  expect((await decide(client, plan, { decision: 'approve' })).facts['outcome']).toBe('done');
  expect(await runNames()).toContain(name);
});

test('where a person is required, the form is sufficient, too, if the token arrives before a click, with or without a card', async () => {
  const env = { ...home.env, DSTACK_MCP_CONFIRM: 'person' };
  const client = await connect({ env, showsCards: true, person: agreeing });
  for (const isShown of [false, true]) {
    const { name, plan, token } = await planRun(client, { isShown });
    expect((await client.call('apply', { token })).facts['consent']).toMatch(/^person-form/);
    expect(await runNames()).toContain(name);
    const late = await decide(client, plan, { decision: 'decline' });
    expect(late.facts['summary']).toMatch(/^This was approved before; nothing was done again/);
  }
});

test('a client that declares cards but shows none needs no click', async () => {
  const client = await cardClient();
  const { name, token } = await planRun(client, { isShown: false });
  expect((await client.call('apply', { token })).facts['consent']).toMatch(/^token: /);
  expect(await runNames()).toContain(name);
});

test('of twenty clicks and ten tokens at once, one submits a run', async () => {
  await recorder.forget();
  const client = await cardClient();
  const { name, plan, token } = await planRun(client);
  const clicks = Array.from({ length: 20 }, () => decide(client, plan, { decision: 'approve' }));
  const calls = Array.from({ length: 10 }, () => client.call('apply', { token }));
  const [clicked, called] = await Promise.all([Promise.all(clicks), Promise.all(calls)]);
  expect((await recorder.calls()).filter((argv) => argv.includes('--yes'))).toEqual([
    ['apply', '--file', `${name}.dstack.yml`, '--yes', '--detach'],
  ]);
  expect(clicked.map(({ facts }) => facts['outcome'])).toEqual(Array(20).fill('done'));
  const first = clicked.filter(({ facts }) => !String(facts['summary']).startsWith('This was approved before'));
  expect(first).toHaveLength(1);
  // A token that arrived before every click waits; later ones return the result.
  for (const { facts } of called) expect(['done', 'waiting-for-person']).toContain(facts['outcome']);
  expect((await runNames()).filter((other) => other === name)).toHaveLength(1);
});

test('no text for the model and no log contains the nonce', async () => {
  const client = await cardClient();
  const { plan, token } = await planRun(client);
  const { nonce } = cardOf(plan);
  const answers = [
    await client.call('apply', { token }),
    await client.call('decide', { nonce, decision: 'perhaps' }),
    await client.call('decide', { nonce, decision: 'approve', more: true }),
    await client.call('decide', { nonce, decision: 'approve' }),
    await client.call('decide', { nonce, decision: 'approve' }),
    await client.call('apply', { token }),
  ];
  for (const answer of answers) expect(JSON.stringify(answer)).not.toContain(nonce);
  const audit = await readFile(path.join(home.stateDir, 'audit', 'audit.jsonl'), 'utf8');
  expect(audit).toContain('"level":"person-card"');
  expect(audit).not.toContain(nonce);
  expect(client.stderr()).toContain('"tool":"decide"');
  expect(client.stderr()).not.toContain(nonce);
});

test('without cards by setting, neither the tool list nor any result mentions them, and tokens work', async () => {
  const client = await connect({ env: { ...home.env, DSTACK_MCP_CARD: 'off' }, showsCards: true });
  expect(JSON.stringify(await client.listTools())).not.toContain('ui://');
  await expect(client.features.readResource({ uri: 'ui://dstack/card' })).rejects.toThrow(/not found/i);
  const { plan, token } = await planRun(client);
  expect(plan.card).toBeUndefined();
  expect((await client.call('decide', { nonce: '0'.repeat(32), decision: 'approve' })).facts['code']).toBe(
    'person-needed',
  );
  expect((await client.call('apply', { token })).facts['consent']).toMatch(/^token: /);
});

test('a package without the page still serves everything else', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-no-card-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const dist = inRepository('dist');
  await cp(dist, folder, { recursive: true, filter: (file) => path.basename(file) !== 'card.html' });
  const server = path.join(folder, 'dstack-mcp.mjs');
  const client = await connect({ env: { ...home.env, DSTACK_MCP_WARM: 'off' }, showsCards: true, server });
  expect(JSON.stringify(await client.listTools())).not.toContain('ui://');
  const listed = await client.call('ps');
  expect(listed.facts['outcome'], listed.text).toBe('done');
  expect(listed.card).toBeUndefined();
  expect((await client.call('decide', { nonce: '0'.repeat(32), decision: 'approve' })).facts['code']).toBe(
    'person-needed',
  );
});
