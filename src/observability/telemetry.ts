import type { CallRecord } from './calls.ts';
import { within } from '../core/waiting.ts';
import type { Log } from '../core/log.ts';
import type { TraceProtocol, Traces } from './traces.ts';
import { VERSION } from '../settings/installation.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The trace configuration in OpenTelemetry's environment variables. */
export type TraceConfig =
  | { readonly kind: 'off' }
  | { readonly kind: 'on'; readonly protocol: TraceProtocol }
  /** Something that this server can't do. No traces are sent. */
  | { readonly kind: 'unsupported'; readonly why: string };

/** Reads OpenTelemetry's variables. Traces need a collector or the OTLP exporter, unless OpenTelemetry is disabled. */
export function readTraceConfig(env: Environment): TraceConfig {
  const read = (name: string): string => env[name]?.trim() ?? '';
  if (read('OTEL_SDK_DISABLED').toLowerCase() === 'true') return { kind: 'off' };
  const hasEndpoint = read('OTEL_EXPORTER_OTLP_ENDPOINT') !== '' || read('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') !== '';
  const exporter = read('OTEL_TRACES_EXPORTER') || (hasEndpoint ? 'otlp' : 'none');
  if (exporter === 'none') return { kind: 'off' };
  if (exporter !== 'otlp') return { kind: 'unsupported', why: `OTEL_TRACES_EXPORTER is ${exporter}, not otlp` };
  const protocol = read('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') || read('OTEL_EXPORTER_OTLP_PROTOCOL') || 'http/protobuf';
  if (protocol === 'http/protobuf' || protocol === 'http/json') return { kind: 'on', protocol };
  return { kind: 'unsupported', why: `OTEL_EXPORTER_OTLP_PROTOCOL is ${protocol}, not http/protobuf or http/json` };
}

/** Sends calls to an OpenTelemetry collector, if one is configured. */
export interface Telemetry {
  report(record: CallRecord): void;
  /** Sends the rest, but no longer than a client waits for a server to exit. */
  close(): Promise<void>;
}

/** How long the exit of this process may wait for the collector. */
const LAST_SEND_MS = 1_500;

/** Creates the telemetry. OpenTelemetry is loaded only if it is configured, without delaying the start; its errors are only logged. */
export function createTelemetry(env: Environment, log: Log): Telemetry {
  const config = readTraceConfig(env);
  if (config.kind === 'unsupported') log.warn({ why: config.why }, 'no traces are sent');
  if (config.kind !== 'on') return { report: () => undefined, close: () => Promise.resolve() };
  const traces = loadTraces(config.protocol, log);
  const tryWith = (use: (loaded: Traces) => void | Promise<void>): Promise<void> =>
    traces.then(use).catch((error: unknown) => log.warn({ err: error }, 'traces'));
  return {
    report: (record) => void tryWith((loaded) => loaded.add(record)),
    async close() {
      await within(
        LAST_SEND_MS,
        tryWith((loaded) => loaded.close()),
      );
    },
  };
}

/** OpenTelemetry's warnings include the collector's whole response. */
const MAX_WARNING_LENGTH = 1_000;

/** Loads OpenTelemetry from a separate bundle, so that a start without traces doesn't pay for it. */
async function loadTraces(protocol: TraceProtocol, log: Log): Promise<Traces> {
  const { startTraces } = await import('./traces.ts');
  const warn = (message: string): void => log.warn({ message: message.slice(0, MAX_WARNING_LENGTH) }, 'traces');
  return startTraces({ protocol, version: VERSION, warn });
}
