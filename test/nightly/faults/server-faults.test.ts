import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import {
  applyWith,
  connectThroughFaultyServer,
  expectNothingSubmittedSince,
  SUBMIT,
} from '../../support/faulty-connection.ts';
import type { FaultyConnection } from '../../support/faulty-connection.ts';
import type { Fault } from '../../support/faulty-server.ts';
import { task, uniqueName } from '../../support/test-home.ts';
import { until } from '../../support/wait.ts';

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
  let connection: FaultyConnection;
  beforeAll(async () => {
    connection = await connectThroughFaultyServer({ atEnd });
  });

  test.each(FAULTS)(
    '%s: reads and plans fail with its message, and work again once it does',
    async (_what, fault, code) => {
      const { home, server, client } = connection;
      // A different run each time, because a call that just failed is not repeated immediately.
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
      // It may be retried after a short pause, regardless of the reason: somebody may have fixed it.
      const retried = await until(
        () => client.call('plan', { file }),
        ({ facts }) => facts['code'] !== 'retry-refused',
      );
      expect(retried.facts).toMatchObject({ outcome: 'done', operation: 'create' });
    },
  );
  test('accepts connections and never answers: the call times out, and no process is left', async () => {
    // Long enough for a command to reach the server on a busy machine.
    const { server, client } = await connectThroughFaultyServer({ timeoutSeconds: 60 });
    server.breakWith({ kind: 'hang' }, /^\/api\//);
    expect((await client.call('ps')).facts).toMatchObject({ outcome: 'failed', code: 'timed-out' });
    expect(server.seen.some(({ faulty }) => faulty)).toBe(true);
    // The waiting command has ended, and with it its connection.
    await until(
      () => Promise.resolve(server.hanging),
      (hanging) => hanging === 0,
    );
  });

  test('is slow: the call waits for the answer', async () => {
    const { server, client } = await connectThroughFaultyServer();
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

test('an apply that meets a hanging server is never reported as done, and not repeated', async () => {
  const connection = await connectThroughFaultyServer({ timeoutSeconds: 30 });
  const { server, client } = connection;
  const attempt = await applyWith(connection, { kind: 'hang' }, SUBMIT);
  const { name, token, applied } = attempt;
  expect(applied.facts['outcome']).toBe('unknown');
  server.breakWith(undefined);
  expect((await client.call('apply', { token })).facts['summary']).toMatch(/nothing was done again/);
  expectNothingSubmittedSince(attempt);
  expect(await runNames()).not.toContain(name);
});
