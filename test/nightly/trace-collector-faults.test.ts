import { expect, test } from 'vitest';
import { INITIALIZE, startRawServer } from '../support/raw-server.ts';
import type { RawServer } from '../support/raw-server.ts';
import { createTestHome } from '../support/test-home.ts';
import { startTraceCollector } from '../support/trace-collector.ts';
import { until } from '../support/wait.ts';

/** Makes a call that doesn't need dstack. */
const REFUSED = { name: 'apply', arguments: { token: 'no-such-token' } };

async function start(otel: Readonly<Record<string, string>>): Promise<RawServer> {
  const home = await createTestHome();
  const server = startRawServer({ ...home.env, ...otel });
  server.request(1, 'initialize', INITIALIZE);
  return server;
}

const answered = (server: RawServer, id: number): Promise<unknown> =>
  until(
    () => Promise.resolve(server.messages()),
    (messages) => messages.some((message) => message.id === id),
  );

async function expectEnd(server: RawServer): Promise<void> {
  server.endInput();
  expect(await server.ended).toEqual({ code: 0, signal: null });
}

test('a hanging collector delays neither a call nor the exit', async () => {
  const collector = await startTraceCollector(() => undefined);
  const server = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '1' });
  server.request(2, 'tools/call', REFUSED);
  await answered(server, 2);
  await until(
    () => Promise.resolve(collector.sent.length),
    (count) => count > 0,
  );
  server.request(3, 'tools/call', REFUSED);
  await answered(server, 3);
  await expectEnd(server);
});

test('a collector that rejects spans is logged, and calls work as usual', async () => {
  const collector = await startTraceCollector((response) => void response.writeHead(400).end());
  const server = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '1' });
  server.request(2, 'tools/call', REFUSED);
  await answered(server, 2);
  await until(
    () => Promise.resolve(server.stderr()),
    (text) => text.includes('"msg":"traces"'),
  );
  expect(server.messages().find(({ id }) => id === 2)).toMatchObject({
    result: { structuredContent: { code: 'token-unknown' } },
  });
  await expectEnd(server);
});
