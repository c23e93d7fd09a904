import { expect, inject, onTestFinished } from 'vitest';
import { connect } from './connect.ts';
import type { Answer, AtEnd, TestClient } from './connect.ts';
import { startFaultyServer } from './faulty-server.ts';
import type { Fault, FaultyServer } from './faulty-server.ts';
import { createTestHome, task, uniqueName } from './test-home.ts';
import type { TestHome } from './test-home.ts';

/** A client whose connection to dstack can be broken. */
export interface FaultyConnection {
  readonly home: TestHome;
  readonly server: FaultyServer;
  readonly client: TestClient;
}

export async function connectThroughFaultyServer({
  timeoutSeconds = 100,
  atEnd = onTestFinished,
}: { timeoutSeconds?: number; atEnd?: AtEnd } = {}): Promise<FaultyConnection> {
  const server = await startFaultyServer(inject('sandbox').url, atEnd);
  const home = await createTestHome({ url: server.url, atEnd });
  const client = await connect({ env: { ...home.env, DSTACK_MCP_TIMEOUT: String(timeoutSeconds) }, atEnd });
  return { home, server, client };
}

/** Matches the request that submits a run. */
export const SUBMIT = /\/runs\/apply$/;

/** Plans a task, breaks the connection for one kind of request, and applies. */
export async function applyWith(
  fault: Fault,
  where: RegExp,
): Promise<FaultyConnection & { name: string; token: unknown; applied: Answer }> {
  const connection = await connectThroughFaultyServer({ timeoutSeconds: 30 });
  const name = uniqueName('half');
  const file = await connection.home.write(`${name}.dstack.yml`, task(name));
  const { facts } = await connection.client.call('plan', { file });
  expect(facts['token']).toEqual(expect.any(String));
  connection.server.breakWith(fault, where);
  const applied = await connection.client.call('apply', { token: facts['token'] });
  return { ...connection, name, token: facts['token'], applied };
}

/** Expects that every submission met the fault. (The CLI sends a request that is cut off up to three times.) */
export function expectNothingSubmittedSince(server: FaultyServer): void {
  const submitted = server.seen.filter(({ path }) => SUBMIT.test(path));
  expect(submitted).not.toEqual([]);
  expect(submitted.filter(({ faulty }) => !faulty)).toEqual([]);
}
