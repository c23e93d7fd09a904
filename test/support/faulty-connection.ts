import { expect, inject, onTestFinished } from 'vitest';
import { connect } from './connect.ts';
import type { Answer, AtEnd, TestClient } from './connect.ts';
import { startFaultyServer } from './faulty-server.ts';
import type { Fault, FaultyServer, SeenRequest } from './faulty-server.ts';
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

/** A task that was applied while the connection was broken. */
export interface FaultyApply {
  readonly name: string;
  readonly token: unknown;
  readonly applied: Answer;
  /** Returns the requests since the plan that submitted a run. */
  readonly submissions: () => readonly SeenRequest[];
}

/** Plans a task, breaks the connection for one kind of request, and applies. */
export async function applyWith(connection: FaultyConnection, fault: Fault, where: RegExp): Promise<FaultyApply> {
  const { server } = connection;
  server.breakWith(undefined);
  const name = uniqueName('half');
  const file = await connection.home.write(`${name}.dstack.yml`, task(name));
  const { facts } = await connection.client.call('plan', { file });
  expect(facts['token']).toEqual(expect.any(String));
  const before = server.seen.length;
  server.breakWith(fault, where);
  const applied = await connection.client.call('apply', { token: facts['token'] });
  const submissions = () => server.seen.slice(before).filter(({ path }) => SUBMIT.test(path));
  return { name, token: facts['token'], applied, submissions };
}

/** Expects that every submission met the fault. (The CLI sends a request that is cut off up to three times.) */
export function expectNothingSubmittedSince({ submissions }: FaultyApply): void {
  expect(submissions()).not.toEqual([]);
  expect(submissions().filter(({ faulty }) => !faulty)).toEqual([]);
}
