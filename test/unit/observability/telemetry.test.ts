import { expect, test } from 'vitest';
import { readTraceConfig } from '../../../src/observability/telemetry.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

test.each([
  ['nothing is set', {}],
  ['the variables are empty', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ', OTEL_TRACES_EXPORTER: '' }],
  ['OpenTelemetry is disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }],
  ['traces are disabled', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
  ['only another signal has a collector', { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://127.0.0.1:4318/v1/metrics' }],
])('no traces are sent if %s', (_why, env) => {
  expect(readTraceConfig(env)).toEqual({ kind: 'off' });
});

test.each([
  ['a collector is named', ENDPOINT, 'http/protobuf'],
  [
    'a collector for traces is named',
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:4318/v1/traces' },
    'http/protobuf',
  ],
  ['only the exporter is named, with the default collector', { OTEL_TRACES_EXPORTER: 'otlp' }, 'http/protobuf'],
  ['OpenTelemetry is explicitly not disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'false' }, 'http/protobuf'],
  ['JSON is requested', { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, 'http/json'],
  [
    'traces have a separate protocol',
    {
      ...ENDPOINT,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    },
    'http/json',
  ],
])('traces are sent if %s', (_why, env, protocol) => {
  expect(readTraceConfig(env)).toEqual({ kind: 'on', protocol });
});

test.each([
  ['OTEL_TRACES_EXPORTER', { OTEL_TRACES_EXPORTER: 'console' }],
  ['OTEL_TRACES_EXPORTER', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'otlp,console' }],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }],
])('an unsupported value of %s is reported, and no traces are sent', (name, env) => {
  const config = readTraceConfig(env);
  expect(config.kind).toBe('unsupported');
  expect(config).toHaveProperty('why', expect.stringContaining(name));
});
