import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { stopRuns, runNames } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, agreeing, connect } from '../support/connect.ts';
import type { Answer, ClientKind, Person, TestClient } from '../support/connect.ts';
import { startRawServer } from '../support/raw-server.ts';
import { createRecorder } from '../support/call-recorder.ts';
import type { Recorder } from '../support/call-recorder.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';

const atEnd = collectEnds(afterAll);
let home: TestHome;
let recorder: Recorder;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  recorder = await createRecorder(home);
});

async function planRun(client: TestClient, more: Readonly<Record<string, unknown>> = {}): Promise<[string, Answer]> {
  const name = uniqueName('consent');
  onTestFinished(() => stopRuns(name));
  await home.write(`${name}.dstack.yml`, task(name, more));
  return [name, await client.call('plan', { file: `${name}.dstack.yml` })];
}

const apply = (client: TestClient, plan: Answer): Promise<Answer> =>
  client.call('apply', { token: plan.facts['token'] });

const clients = new Map<ClientKind, Promise<TestClient>>();

/** Returns the shared client of this kind, which shows neither forms nor cards. */
function plainClient(kind: ClientKind = CLIENTS[0]): Promise<TestClient> {
  const client = clients.get(kind) ?? connect({ env: { ...home.env, DSTACK_MCP_CLI: recorder.cli }, kind, atEnd });
  clients.set(kind, client);
  return client;
}

describe.each(CLIENTS)('with the %s', (kind) => {
  test('without forms and cards, the token is sufficient, and the result states that level of consent', async () => {
    const client = await plainClient(kind);
    const [name, plan] = await planRun(client);
    const applied = await apply(client, plan);
    expect(applied.facts).toMatchObject({ outcome: 'done', operation: 'create' });
    expect(applied.facts['consent']).toMatch(/^token: .*does not prove that a person approved/);
    expect(applied.text).toContain(applied.facts['consent']);
    expect(await runNames()).toContain(name);
  });

  test('a client without cards gets no nonce, and decides nothing', async () => {
    const client = await plainClient(kind);
    const [name, plan] = await planRun(client);
    for (const { card } of [plan, await client.call('ps')]) expect(card).toBeUndefined();
    for (const nonce of ['0'.repeat(32), plan.facts['token']])
      for (const decision of ['approve', 'decline']) {
        const refused = await client.call('decide', { nonce, decision });
        expect(refused).toMatchObject({ isError: true, facts: { outcome: 'refused', code: 'person-needed' } });
      }
    expect(await runNames()).not.toContain(name);
  });

  const NO: readonly (readonly [string, Person, RegExp, string])[] = [
    ['declines', () => ({ action: 'decline' }), /The user declined/, 'person-declined'],
    ['closes the form', () => ({ action: 'cancel' }), /closed without an answer/, 'not-answered'],
    [
      'sends it without a yes',
      () => ({ action: 'accept', content: { approve: false } }),
      /The user declined/,
      'person-declined',
    ],
  ];

  test('if a person declines, closes the form or sends it without approval, nothing is ever done', async () => {
    let person: Person = agreeing;
    const asked: string[] = [];
    const client = await connect({
      env: home.env,
      kind,
      person: (message, field) => {
        asked.push(message);
        return person(message, field);
      },
    });
    const [name, first] = await planRun(client);
    for (const [what, no, says, code] of NO) {
      const plan = what === NO[0]?.[0] ? first : await client.call('plan', { file: `${name}.dstack.yml` });
      person = no;
      const refused = await apply(client, plan);
      expect(refused.facts).toMatchObject({ outcome: 'refused', code });
      expect(refused.facts['summary']).toMatch(says);
      // The token is no longer valid: a user who would approve now isn't even asked.
      person = agreeing;
      const before = asked.length;
      expect((await apply(client, plan)).facts['code']).toBe(code);
      expect(asked.length).toBe(before);
    }
    expect(asked).toHaveLength(NO.length);
    expect(asked[0]).toMatch(new RegExp(`Create task ${name}.*\\n\\nResource: task ${name}\\nProject: main on http`));
    expect(await runNames()).not.toContain(name);
  });
});

describe('settings of the operator:', () => {
  test('a person is required and none can be asked: refused, without a hint how to avoid it', async () => {
    const client = await connect({ env: { ...home.env, DSTACK_MCP_CONFIRM: 'person' } });
    const [name, plan] = await planRun(client);
    for (let again = 0; again < 2; again += 1) {
      const refused = await apply(client, plan);
      expect(refused.facts).toMatchObject({ outcome: 'refused', code: 'person-needed' });
      expect(refused.text).toMatch(/needs the user's approval, but the user can't be prompted/);
      expect(refused.text).not.toMatch(/DSTACK_MCP|CONFIRM|polic|setting|environment|=|token counts|terminal/i);
    }
    expect(await runNames()).not.toContain(name);
  });

  test('read-only: every change is refused at the call, and reads still work', async () => {
    await recorder.forget();
    const client = await connect({
      env: { ...home.env, DSTACK_MCP_CLI: recorder.cli, DSTACK_MCP_READ_ONLY: 'on' },
    });
    for (const [tool, input] of [
      ['apply', { token: 'abcdefg-abcdefg' }],
      ['attach', { run: 'anything' }],
    ] as const) {
      const refused = await client.call(tool, input);
      expect(refused.facts, tool).toMatchObject({ outcome: 'refused', code: 'read-only' });
      expect(refused.facts['next']).toMatch(/is read-only/);
    }
    expect(await recorder.calls()).toEqual([]);
    expect((await client.call('ps')).facts['outcome']).toBe('done');
    expect((await client.call('doctor')).text).toContain('read-only: nothing can be changed');
  });

  test('a policy: dstack gets its price, its limits refuse changes, and a broken file stops every change', async () => {
    const file = path.join(home.home, 'policy.yml');
    const set = (policy: object | string): Promise<void> =>
      writeFile(file, typeof policy === 'string' ? policy : stringify(policy));
    await set({ max_price: 0.5, protected: ['keep-*'] });
    await recorder.forget();
    const client = await connect({
      env: { ...home.env, DSTACK_MCP_CLI: recorder.cli, DSTACK_MCP_POLICY: file },
    });
    const cheap = { resources: { gpu: 'RTX4090' }, fleets: ['cloud'] };
    const [name, plan] = await planRun(client, cheap);
    expect(plan.facts).toMatchObject({ outcome: 'done', pricePerHour: 0.39 });
    const [, dear] = await planRun(client, { ...cheap, resources: { gpu: 'A100' } });
    expect(dear.facts['outcome']).toBe('blocked');
    expect(dear.facts['token']).toBeUndefined();
    const [, two] = await planRun(client, { ...cheap, nodes: 2 });
    expect(two.facts['token']).toBeUndefined();
    const raised = await client.call('plan', { file: `${name}.dstack.yml`, flags: { '--max-price': 99 } });
    expect(raised.facts['outcome']).toBe('done');
    const plans = (await recorder.calls()).filter(([command]) => command === 'apply');
    const prices = plans.map((argv) => argv[argv.indexOf('--max-price') + 1]);
    expect(prices).toEqual(['0.5', '0.5', '0.25', '0.5']);

    const lasting = await client.call('plan', { file: `${name}.dstack.yml` });
    await set({ max_price: 0.5, max_total: 1 });
    const total = await client.call('plan', { file: `${name}.dstack.yml` });
    expect(total.facts).toMatchObject({ outcome: 'refused', code: 'price-cap' });
    expect(total.text).toMatch(/max_duration/);
    // A token from before the limit doesn't outlive it.
    const late = await apply(client, lasting);
    expect(late.facts).toMatchObject({ outcome: 'refused', code: 'price-cap' });

    await set('max_prise: 1\n');
    const broken = await apply(client, lasting);
    expect(broken.facts).toMatchObject({ outcome: 'refused', code: 'policy-broken' });
    expect(broken.text).toMatch(/max_prise/);
    expect((await client.call('ps')).facts['outcome']).toBe('done');
    expect(await runNames()).not.toContain(name);
    // Only the late one was started; it was stopped before its change.
    expect((await recorder.calls()).filter((argv) => argv.includes('--yes'))).toHaveLength(1);
  });

  test('a server with an unreadable policy does not start', async () => {
    const server = startRawServer({ ...home.env, DSTACK_MCP_POLICY: path.join(home.home, 'nosuch.yml') });
    expect(await server.ended).toEqual({ code: 2, signal: null });
    expect(server.stdout()).toBe('');
  });
});

test('of twenty redemptions of one token at once, one submits a run, and all return its result', async () => {
  await recorder.forget();
  const client = await plainClient();
  const [name, plan] = await planRun(client);
  const answers = await Promise.all(Array.from({ length: 20 }, () => apply(client, plan)));
  expect((await recorder.calls()).filter((argv) => argv.includes('--yes'))).toEqual([
    ['apply', '--file', `${name}.dstack.yml`, '--yes', '--detach'],
  ]);
  expect((await runNames()).filter((other) => other === name)).toHaveLength(1);
  for (const { facts } of answers) {
    expect(facts).toMatchObject({ outcome: 'done', operation: 'create' });
    expect(facts['summary']).toContain(`Run ${name} submitted, detaching...`);
  }
  const repeated = answers.filter(({ facts }) => /used before; nothing was done again/.test(String(facts['summary'])));
  expect(repeated).toHaveLength(19);
});
