import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import type { Answer, AtEnd, TestClient } from '../../support/connect.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { until, waitForRun } from '../../support/wait.ts';
import { startFaultyServer } from './faulty-server.ts';
import type { Fault, FaultyServer } from './faulty-server.ts';

interface Round {
  readonly home: TestHome;
  readonly server: FaultyServer;
  readonly client: TestClient;
}

/** A client of a server whose way to dstack can be broken. */
async function startRound({
  timeoutSeconds = 100,
  atEnd = onTestFinished,
}: { timeoutSeconds?: number; atEnd?: AtEnd } = {}): Promise<Round> {
  const server = await startFaultyServer(inject('sandbox').url, atEnd);
  const home = await createTestHome({ url: server.url, atEnd });
  const client = await connect({ env: { ...home.env, DSTACK_MCP_TIMEOUT: String(timeoutSeconds) }, atEnd });
  return { home, server, client };
}

const SIGN_IN = '<!DOCTYPE html><html><body>Please sign in</body></html>';

const FAULTS: readonly (readonly [what: string, fault: Fault, code: string])[] = [
  ['answers 500', { kind: 'status', status: 500, body: '{"detail":"boom"}' }, 'server-error'],
  [
    'answers 503 with a page of a proxy',
    { kind: 'status', status: 503, body: SIGN_IN, type: 'text/html' },
    'server-error',
  ],
  ['answers garbage', { kind: 'status', status: 200, body: '\u0000{"runs": [}' }, 'not-dstack'],
  ['answers with a sign-in page', { kind: 'status', status: 200, body: SIGN_IN, type: 'text/html' }, 'not-dstack'],
  ['refuses the token', { kind: 'status', status: 403, body: '{"detail":"Access denied"}' }, 'unauthorized'],
  ['answers JSON of something else', { kind: 'status', status: 200, body: '{"hello":"world"}' }, 'version-mismatch'],
  ['resets the connection', { kind: 'reset' }, 'unreachable'],
  ['breaks off in the middle of its answer', { kind: 'half-answer' }, 'unreachable'],
];

describe('a server that', () => {
  const atEnd = collectEnds(afterAll);
  let round: Round;
  beforeAll(async () => {
    round = await startRound({ atEnd });
  });

  test.each(FAULTS)(
    '%s: reads and plans fail in its words, and go well again once it does',
    async (_what, fault, code) => {
      const { home, server, client } = round;
      // Another run each time: a call that failed just now is not made again at once.
      const name = uniqueName('fault');
      const file = await home.write(`${name}.dstack.yml`, task(name));
      const calls: readonly (readonly [string, Record<string, unknown>])[] = [
        ['get', { name }],
        ['plan', { file }],
        ['logs', { run: name }],
      ];
      server.breakWith(fault, /^\/api\//);
      for (const [tool, input] of calls) {
        const answer = await client.call(tool, input);
        expect(answer.facts, `${tool}: ${answer.text}`).toMatchObject({ code });
        expect(answer.facts['outcome'], tool).toMatch(/^(?:failed|blocked)$/);
        expect(answer.facts['token'], tool).toBeUndefined();
        expect(String(answer.facts['next']), tool).not.toBe('');
      }
      server.breakWith(undefined);
      // It is let through again after a short pause, whatever it failed of: somebody may have mended it.
      const mended = await until(
        () => client.call('plan', { file }),
        ({ facts }) => facts['code'] !== 'retry-refused',
      );
      expect(mended.facts).toMatchObject({ outcome: 'done', operation: 'create' });
    },
  );

  test('sends elsewhere, to a sign-in page: told as no dstack server, and the token goes nowhere else', async () => {
    const { server, client } = await startRound();
    const elsewhere = await startFaultyServer(inject('sandbox').url);
    elsewhere.breakWith({ kind: 'status', status: 200, body: SIGN_IN, type: 'text/html' });
    server.breakWith({ kind: 'redirect', to: `${elsewhere.url}/sign-in` }, /^\/api\//);
    const answer = await client.call('ps');
    expect(answer.facts).toMatchObject({ outcome: 'failed', code: 'not-dstack' });
    expect(elsewhere.seen).not.toEqual([]);
    expect(elsewhere.tokens).toEqual([]);
  });

  test('accepts and never answers: the call ends in its time, and nothing of it is left', async () => {
    // Long enough for a command to reach the server on a busy machine.
    const { server, client } = await startRound({ timeoutSeconds: 20 });
    server.breakWith({ kind: 'hang' }, /^\/api\//);
    const call = client.call('ps');
    await until(
      () => Promise.resolve(server.hanging),
      (hanging) => hanging > 0,
    );
    expect((await call).facts).toMatchObject({ outcome: 'failed', code: 'timed-out' });
    // The command that waited is gone: nobody holds its connection any more.
    await until(
      () => Promise.resolve(server.hanging),
      (hanging) => hanging === 0,
    );
  });

  test('is slow: the answer is awaited', async () => {
    const { server, client } = await startRound();
    let release = (): void => undefined;
    const untilReleased = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.breakWith({ kind: 'late', untilReleased }, /runs\/list/);
    const call = client.call('ps', { last: 1 });
    await until(
      () => Promise.resolve(server.seen),
      (seen) => seen.some(({ faulty }) => faulty),
    );
    release();
    expect((await call).facts['outcome']).toBe('done');
  });
});

/** Plans a task, then breaks the way to dstack for one kind of request, and applies. */
async function applyWith(
  fault: Fault,
  where: RegExp,
): Promise<Round & { name: string; token: unknown; applied: Answer }> {
  const round = await startRound({ timeoutSeconds: 30 });
  const name = uniqueName('half');
  const file = await round.home.write(`${name}.dstack.yml`, task(name));
  const { facts } = await round.client.call('plan', { file });
  expect(facts['token']).toEqual(expect.any(String));
  round.server.breakWith(fault, where);
  const applied = await round.client.call('apply', { token: facts['token'] });
  return { ...round, name, token: facts['token'], applied };
}

const SUBMIT = /\/runs\/apply$/;

/** What was submitted met the fault: since it was lifted nothing was. (A request of the CLI's that is cut off it sends up to three times.) */
function expectNoneSince(server: FaultyServer): void {
  const submitted = server.seen.filter(({ path }) => SUBMIT.test(path));
  expect(submitted).not.toEqual([]);
  expect(submitted.filter(({ faulty }) => !faulty)).toEqual([]);
}

describe('an apply', () => {
  test.each([
    ['whose answer is lost', { kind: 'lose-answer' }],
    ['whose answer breaks off', { kind: 'half-answer' }],
  ] as const)('%s: unknown, and the run that is there is never submitted again', async (_what, fault) => {
    const { server, client, name, token, applied } = await applyWith(fault, SUBMIT);
    expect(applied.facts).toMatchObject({ outcome: 'unknown' });
    expect(applied.facts['next']).toMatch(/ps|get/);
    expect(await runNames()).toContain(name);
    server.breakWith(undefined);
    const again = await client.call('apply', { token });
    expect(again.facts['summary']).toMatch(/nothing was done again/);
    expectNoneSince(server);
    expect((await client.call('get', { name })).facts['outcome']).toBe('done');
    const stopping = await client.call('stop', { run: name });
    await client.call('stop', { token: stopping.facts['token'] });
  });

  test.each([
    ['that the server never hears of', { kind: 'reset' }],
    ['that meets a server error', { kind: 'status', status: 500, body: '{}' }],
    ['that meets a hanging server', { kind: 'hang' }],
  ] as const)('%s: never called done, and not repeated', async (_what, fault) => {
    const { server, client, name, token, applied } = await applyWith(fault, SUBMIT);
    expect(applied.facts['outcome']).toBe('unknown');
    server.breakWith(undefined);
    expect((await client.call('apply', { token })).facts['summary']).toMatch(/nothing was done again/);
    expectNoneSince(server);
    expect(await runNames()).not.toContain(name);
  });

  test('whose second plan fails: nothing is submitted, and the token is good for another try', async () => {
    const { server, client, name, token, applied } = await applyWith(
      { kind: 'status', status: 500, body: '{}' },
      /\/runs\/get_plan$/,
    );
    expect(applied.facts).toMatchObject({ outcome: 'failed', code: 'server-error' });
    expect(server.seen.some(({ path }) => SUBMIT.test(path))).toBe(false);
    server.breakWith(undefined);
    const mended = await until(
      () => client.call('apply', { token }),
      ({ facts }) => facts['code'] !== 'retry-refused',
    );
    expect(mended.facts['outcome']).toBe('done');
    expect(await runNames()).toContain(name);
    await client.call('stop', { token: (await client.call('stop', { run: name })).facts['token'] });
  });
});

test('a stop whose answer is lost: unknown, told where to look, and the run does stop', async () => {
  const { home, server, client } = await startRound();
  const name = uniqueName('stopped');
  const file = await home.write(`${name}.dstack.yml`, task(name));
  await client.call('apply', { token: (await client.call('plan', { file })).facts['token'] });
  await waitForRun(client, name, 'running');
  const { token } = (await client.call('stop', { run: name })).facts;
  server.breakWith({ kind: 'lose-answer' }, /\/runs\/stop$/);
  expect((await client.call('stop', { token })).facts['outcome']).toBe('unknown');
  server.breakWith(undefined);
  await client.call('stop', { token });
  expect(server.seen.filter(({ path, faulty }) => path.endsWith('/runs/stop') && !faulty)).toEqual([]);
  expect((await client.call('get', { name, wait_for: 'finished' })).facts).toMatchObject({ outcome: 'done' });
});
