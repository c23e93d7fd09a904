import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { runNames, stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { Answer, PersonAnswer, TestClient } from '../support/connect.ts';
import { startRawServer } from '../support/raw-server.ts';
import type { RawServer } from '../support/raw-server.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
let home: TestHome;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
});

async function writeRun(): Promise<{ name: string; file: string }> {
  const name = uniqueName('asking');
  onTestFinished(() => stopRuns(name));
  return { name, file: await home.write(`${name}.dstack.yml`, task(name)) };
}

async function planRun(client: TestClient): Promise<{ name: string; token: unknown }> {
  const { name, file } = await writeRun();
  const plan = await client.call('plan', { file });
  return { name, token: plan.facts['token'] };
}

async function auditOf(name: string): Promise<string> {
  const lines = (await readFile(path.join(home.stateDir, 'audit', 'audit.jsonl'), 'utf8')).split('\n');
  return lines.filter((line) => line.includes(name)).join('\n');
}

function expectNobodyAsked(refused: Answer): void {
  expect(refused.facts).toMatchObject({ outcome: 'refused', code: 'nobody-asked' });
  expect(refused.text).toMatch(/^Nobody was asked: .*the token is still valid\./);
  expect(refused.text).toMatch(/Next: .*their client answers such forms without showing them/);
  expect(refused.text).not.toMatch(/declined|DSTACK_MCP/);
}

const AT_ONCE: readonly PersonAnswer[] = [
  { action: 'decline' },
  { action: 'cancel' },
  { action: 'accept', content: { approve: true } },
];

// One of each protocol era. The unit tests have the threshold, with a clock that they set.
describe.each([CLIENTS[0], CLIENTS[2]])('with the %s', (kind) => {
  test('a client that answers forms automatically asks nobody: refused, not declined, and never by the token alone', async () => {
    let answer = AT_ONCE[0];
    const client = await connect({ env: home.env, kind, readMs: 0, person: () => answer ?? { action: 'cancel' } });
    // Where the computer was too busy to answer at once, a person could have done it: that counts, and the next plan is tried.
    const { name, answers } = await until(
      async () => {
        const { name: planned, token } = await planRun(client);
        const all: Answer[] = [];
        for (answer of AT_ONCE) all.push(await client.call('apply', { token }));
        return { name: planned, answers: all };
      },
      ({ answers: all }) => all.every(({ facts }) => facts['code'] === 'nobody-asked'),
    );
    for (const refused of answers) expectNobodyAsked(refused);
    expect(await runNames()).not.toContain(name);
    const audit = await auditOf(name);
    expect(audit).toContain('"why":"nobody-asked: ');
    expect(audit).not.toMatch(/declined|person-form|"approved"/);
  });
});

const messages = z.object({ id: z.number(), method: z.literal('elicitation/create') });

/** Starts a session in the older era with a client that declares forms, and answers each one with the given message. */
async function startSession(
  reply: Readonly<Record<string, unknown>>,
): Promise<{ server: RawServer; asked: () => number }> {
  const server = startRawServer(home.env);
  server.request(1, 'initialize', {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: {} },
    clientInfo: { name: 'raw', version: '1.0.0' },
  });
  server.notify('notifications/initialized');
  const answered = new Set<number>();
  const timer = setInterval(() => {
    for (const message of server.messages()) {
      const { success, data } = messages.safeParse(message);
      if (!success || answered.has(data.id)) continue;
      answered.add(data.id);
      server.write(`${JSON.stringify({ jsonrpc: '2.0', id: data.id, ...reply })}\n`);
    }
  }, 20);
  onTestFinished(() => clearInterval(timer));
  return { server, asked: () => answered.size };
}

const result = z.looseObject({ result: z.looseObject({ structuredContent: z.record(z.string(), z.unknown()) }) });

async function call(
  server: RawServer,
  id: number,
  name: string,
  input: object,
): Promise<Readonly<Record<string, unknown>>> {
  server.request(id, 'tools/call', { name, arguments: input });
  const all = await until(
    () => Promise.resolve(server.messages()),
    (some) => some.some((message) => message.id === id && 'result' in message),
  );
  return result.parse(all.find((message) => message.id === id && 'result' in message)).result.structuredContent;
}

describe('a client that declares forms but can’t show them', () => {
  // The unit tests of client.ts have more answers in another shape.
  test.each([
    ['with an error', { error: { code: -32_601, message: 'Method not found' } }],
    ['in another shape', { result: { answer: 'yes' } }],
  ])('and answers %s is asked once, and then treated as one that never declared them', async (_how, reply) => {
    const { server, asked } = await startSession(reply);
    for (const id of [10, 20]) {
      const { name, file } = await writeRun();
      const plan = await call(server, id, 'plan', { file });
      const applied = await call(server, id + 1, 'apply', { token: plan['token'] });
      expect(applied).toMatchObject({ outcome: 'done', consent: expect.stringMatching(/^token: /) });
      expect(await runNames()).toContain(name);
    }
    expect(asked()).toBe(1);
  });
});
