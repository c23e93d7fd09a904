import { expect, test } from 'vitest';
import { readTraceConfig } from '../../../src/observability/telemetry.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

test.each([
  ['nothing is set', {}],
  ['the variables are empty', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ', OTEL_TRACES_EXPORTER: '' }],
  ['OpenTelemetry is switched off', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }],
  ['traces are switched off', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
  ['another signal has a collector', { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://127.0.0.1:4318/v1/metrics' }],
])('no traces are sent where %s', (_why, env) => {
  expect(readTraceConfig(env)).toEqual({ kind: 'off' });
});

test.each([
  ['a collector is named', ENDPOINT, 'http/protobuf'],
  [
    'a collector for traces is named',
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:4318/v1/traces' },
    'http/protobuf',
  ],
  [
    'the exporter is named, and the collector is where one usually is',
    { OTEL_TRACES_EXPORTER: 'otlp' },
    'http/protobuf',
  ],
  ['off is not what was said', { ...ENDPOINT, OTEL_SDK_DISABLED: 'false' }, 'http/protobuf'],
  ['JSON is wished for', { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, 'http/json'],
  [
    'traces have a protocol of their own',
    {
      ...ENDPOINT,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    },
    'http/json',
  ],
])('traces are sent where %s', (_why, env, protocol) => {
  expect(readTraceConfig(env)).toEqual({ kind: 'on', protocol });
});

test.each([
  ['OTEL_TRACES_EXPORTER', { OTEL_TRACES_EXPORTER: 'console' }],
  ['OTEL_TRACES_EXPORTER', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'otlp,console' }],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }],
])('what %s asks for and this server cannot do is named, and nothing is sent', (name, env) => {
  const wish = readTraceConfig(env);
  expect(wish.kind).toBe('unsupported');
  expect(wish).toHaveProperty('why', expect.stringContaining(name));
});
