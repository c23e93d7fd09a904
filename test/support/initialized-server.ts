import { expect } from 'vitest';
import { processesIn } from './processes.ts';
import { INITIALIZE, startRawServer } from './raw-server.ts';
import type { RawServer } from './raw-server.ts';
import { createTestHome } from './test-home.ts';
import type { TestHome } from './test-home.ts';
import { until } from './wait.ts';

/** Waits for an answer to the request with this id. */
export const answered = (server: RawServer, id: number): Promise<unknown> =>
  until(
    () => Promise.resolve(server.messages()),
    (messages) => messages.some((message) => message.id === id),
  );

/** Returns every answer to the request with this id: a second one would be a defect. */
export const answersTo = (server: RawServer, id: number): readonly unknown[] =>
  server.messages().filter((message) => message.id === id);

/** Starts a server in a separate home, with more variables if any, and initializes the connection. */
export async function startInitialized(
  env: Readonly<Record<string, string>> = {},
): Promise<{ home: TestHome; server: RawServer }> {
  const home = await createTestHome();
  const server = startRawServer({ ...home.env, ...env });
  server.request(1, 'initialize', INITIALIZE);
  server.notify('notifications/initialized');
  await answered(server, 1);
  return { home, server };
}

/** Ends the input of a server, which ends it in order. */
export async function expectEnd(server: RawServer): Promise<void> {
  server.endInput();
  expect(await server.ended).toEqual({ code: 0, signal: null });
}

/** The ways in which a server ends, and how it exits then. */
export const ENDS: readonly (readonly [
  string,
  (server: RawServer) => void,
  { code: number | null; signal: string | null },
])[] = [
  ['the end of its input', (server) => server.endInput(), { code: 0, signal: null }],
  ['SIGINT', (server) => server.signal('SIGINT'), { code: 130, signal: null }],
  ['SIGTERM', (server) => server.signal('SIGTERM'), { code: 143, signal: null }],
  ['SIGKILL', (server) => server.signal('SIGKILL'), { code: null, signal: 'SIGKILL' }],
];

/** The parameters of a call that reads. */
export const ps = { name: 'ps', arguments: { last: 1 } };

/** The parameters of a call that is refused without dstack. */
export const refused = { name: 'apply', arguments: { token: 'no-such-token' } };

/** Waits until no process with this home is left. */
export const nobodyLeft = (home: TestHome): Promise<unknown> =>
  until(
    () => processesIn(home.home),
    (found) => found.length === 0,
  );
