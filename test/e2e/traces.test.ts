import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { answered, expectEnd, refused, startInitialized } from '../support/initialized-server.ts';
import { uniqueName } from '../support/test-home.ts';
import { startTraceCollector } from '../support/trace-collector.ts';
import { inRepository } from '../support/paths.ts';

const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

test('a call is a span in the trace of its client, and its dstack commands are its children', async () => {
  const collector = await startTraceCollector();
  const { server } = await startInitialized({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=tests',
  });
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const name = uniqueName('untold');
  server.request(2, 'tools/call', {
    name: 'get',
    arguments: { name },
    _meta: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
  });
  await answered(server, 2);
  await expectEnd(server);
  const { resources, spans } = collector.read();
  expect(collector.sent.map((one) => one.path)).toEqual(['/v1/traces']);
  expect(resources).toMatchObject([{ 'service.name': 'dstack-mcp', 'deployment.environment.name': 'tests' }]);
  const call = spans.find(({ kind }) => kind === SERVER);
  expect(call).toMatchObject({
    name: 'tools/call get',
    traceId,
    parentSpanId: '00f067aa0ba902b7',
    attributes: {
      'mcp.method.name': 'tools/call',
      'gen_ai.tool.name': 'get',
      'jsonrpc.request.id': '2',
      'network.transport': 'pipe',
      'error.type': 'tool_error',
      'dstack_mcp.code': 'not-found',
    },
    status: { code: ERROR },
  });
  const commands = spans.filter(({ kind }) => kind === CLIENT);
  expect(commands.length).toBeGreaterThan(0);
  for (const command of commands) {
    expect(command).toMatchObject({ traceId, parentSpanId: call?.spanId, name: 'dstack run get' });
    expect(command.attributes).toHaveProperty('process.exit.code', 1);
    expect(command.startTimeUnixNano >= (call?.startTimeUnixNano ?? 0n)).toBe(true);
    expect(command.endTimeUnixNano <= (call?.endTimeUnixNano ?? 0n)).toBe(true);
  }
  // Neither the arguments, nor dstack's output.
  expect(collector.sent.map(({ body }) => body.toString()).join()).not.toContain(name);
});

test('spans are sent as protobuf by default', async () => {
  const collector = await startTraceCollector();
  const { server } = await startInitialized({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/own/path` });
  server.request(2, 'tools/call', refused);
  await answered(server, 2);
  await expectEnd(server);
  expect(collector.sent).toMatchObject([{ path: '/own/path', type: 'application/x-protobuf' }]);
  expect(collector.sent[0]?.body.toString('latin1')).toContain('tools/call apply');
});
test('nothing is sent if OpenTelemetry is disabled', async () => {
  const collector = await startTraceCollector();
  const { server } = await startInitialized({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SDK_DISABLED: 'true' });
  server.request(2, 'tools/call', refused);
  await answered(server, 2);
  await expectEnd(server);
  expect(collector.sent).toEqual([]);
});

test('a server without traces loads nothing of OpenTelemetry', async () => {
  const dist = inRepository('dist');
  for (const bundle of ['server.cjs', 'engine.cjs'])
    expect(await readFile(path.join(dist, bundle), 'utf8')).not.toContain('BatchSpanProcessor');
  expect(await readFile(path.join(dist, 'traces.cjs'), 'utf8')).toContain('BatchSpanProcessor');
});
