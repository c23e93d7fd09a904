import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import {
  applyWith,
  connectThroughFaultyServer,
  expectNothingSubmittedSince,
  SUBMIT,
} from '../../support/faulty-connection.ts';
import type { FaultyConnection } from '../../support/faulty-connection.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import { task, uniqueName } from '../../support/test-home.ts';
import { previewAndStop, until, waitForRun } from '../../support/wait.ts';

const atEnd = collectEnds(afterAll);
let connection: FaultyConnection;

beforeAll(async () => {
  connection = await connectThroughFaultyServer({ timeoutSeconds: 30, atEnd });
});

const SIGN_IN = '<!DOCTYPE html><html><body>Please sign in</body></html>';

test('a server that redirects to a sign-in page is reported as not a dstack server, and the token goes nowhere else', async () => {
  const { server, client } = connection;
  const elsewhere = await startFaultyServer(inject('sandbox').url);
  elsewhere.breakWith({ kind: 'status', status: 200, body: SIGN_IN, type: 'text/html' });
  server.breakWith({ kind: 'redirect', to: `${elsewhere.url}/sign-in` }, /^\/api\//);
  const answer = await client.call('ps');
  expect(answer.facts).toMatchObject({ outcome: 'failed', code: 'not-dstack' });
  // The gate in dstack's process sends nothing to another address: neither the request nor its token.
  expect(elsewhere.seen).toEqual([]);
});

describe('an apply', () => {
  test.each([
    ['whose answer is lost', { kind: 'lose-answer' }],
    ['whose answer breaks off', { kind: 'half-answer' }],
  ] as const)('%s: looked up and reported as done, and never submitted again', async (_what, fault) => {
    const { server, client } = connection;
    const attempt = await applyWith(connection, fault, SUBMIT);
    const { name, token, applied } = attempt;
    expect(applied.facts).toMatchObject({ outcome: 'done' });
    expect(applied.facts['summary']).toMatch(/It was made: dstack shows it/);
    expect(await runNames()).toContain(name);
    server.breakWith(undefined);
    const again = await client.call('apply', { token });
    expect(again.facts['summary']).toMatch(/nothing was done again/);
    expectNothingSubmittedSince(attempt);
    expect((await client.call('get', { name })).facts['outcome']).toBe('done');
    await previewAndStop(client, name);
  });

  test.each([
    ['that the server never hears of', { kind: 'reset' }],
    ['that meets a server error', { kind: 'status', status: 500, body: '{}' }],
  ] as const)('%s: looked up, reported as failed, and not repeated', async (_what, fault) => {
    const { server, client } = connection;
    const attempt = await applyWith(connection, fault, SUBMIT);
    const { name, token, applied } = attempt;
    expect(applied.facts['outcome']).toBe('failed');
    expect(applied.facts['summary']).toMatch(/The change was not made.*Nothing was changed/);
    server.breakWith(undefined);
    expect((await client.call('apply', { token })).facts['summary']).toMatch(/nothing was done again/);
    expectNothingSubmittedSince(attempt);
    expect(await runNames()).not.toContain(name);
  });

  test('whose second plan fails: nothing is submitted, and the token stays valid', async () => {
    const { server, client } = connection;
    const broken = { kind: 'status', status: 500, body: '{}' } as const;
    const { name, token, applied, submissions } = await applyWith(connection, broken, /\/runs\/get_plan$/);
    expect(applied.facts).toMatchObject({ outcome: 'failed', code: 'server-error' });
    expect(submissions()).toEqual([]);
    server.breakWith(undefined);
    const retried = await until(
      () => client.call('apply', { token }),
      ({ facts }) => facts['code'] !== 'retry-refused',
    );
    expect(retried.facts['outcome']).toBe('done');
    expect(await runNames()).toContain(name);
    await previewAndStop(client, name);
  });
});

test('a stop whose response is lost is looked up, sent once, and the run does stop', async () => {
  const { home, server, client } = connection;
  server.breakWith(undefined);
  const name = uniqueName('stopped');
  const file = await home.write(`${name}.dstack.yml`, task(name));
  await client.call('apply', { token: (await client.call('plan', { file })).facts['token'] });
  await waitForRun(client, name, 'running');
  let before = 0;
  let token: unknown;
  // dstack can take a stop back, which is reported as such.
  const { facts } = await until(
    async () => {
      server.breakWith(undefined);
      ({ token } = (await client.call('stop', { run: name })).facts);
      before = server.seen.length;
      server.breakWith({ kind: 'lose-answer' }, /\/runs\/stop$/);
      return client.call('apply', { token });
    },
    (stopped) => !String(stopped.facts['summary']).includes('took it back'),
  );
  expect(facts['outcome']).toBe('done');
  expect(facts['summary']).toMatch(/the response of dstack's server was lost\. It was made/);
  server.breakWith(undefined);
  await client.call('apply', { token });
  const stops = server.seen.slice(before).filter(({ path }) => path.endsWith('/runs/stop'));
  expect(stops.filter(({ faulty }) => !faulty)).toEqual([]);
  expect((await client.call('get', { name, wait_for: 'finished' })).facts).toMatchObject({ outcome: 'done' });
});
