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

/** Starts a server in a separate home, and initializes the connection. */
export async function startInitialized(): Promise<{ home: TestHome; server: RawServer }> {
  const home = await createTestHome();
  const server = startRawServer(home.env);
  server.request(1, 'initialize', INITIALIZE);
  server.notify('notifications/initialized');
  await answered(server, 1);
  return { home, server };
}

/** The parameters of a call that reads. */
export const ps = { name: 'ps', arguments: { last: 1 } };
/** Waits until no process with this home is left. */
export const nobodyLeft = (home: TestHome): Promise<unknown> =>
  until(
    () => processesIn(home.home),
    (found) => found.length === 0,
  );
