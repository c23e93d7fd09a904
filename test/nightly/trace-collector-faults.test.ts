import { expect, test } from 'vitest';
import { answered, expectEnd, refused, startInitialized } from '../support/initialized-server.ts';
import { startTraceCollector } from '../support/trace-collector.ts';
import { until } from '../support/wait.ts';

test('a hanging collector delays neither a call nor the exit', async () => {
  const collector = await startTraceCollector(() => undefined);
  const { server } = await startInitialized({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '1',
  });
  server.request(2, 'tools/call', refused);
  await answered(server, 2);
  await until(
    () => Promise.resolve(collector.sent.length),
    (count) => count > 0,
  );
  server.request(3, 'tools/call', refused);
  await answered(server, 3);
  await expectEnd(server);
});

test('a collector that rejects spans is logged, and calls work as usual', async () => {
  const collector = await startTraceCollector((response) => void response.writeHead(400).end());
  const { server } = await startInitialized({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '1',
  });
  server.request(2, 'tools/call', refused);
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
