import type { CallRecord } from './call-record.ts';
import type { Log } from '../core/log.ts';
import type { TraceProtocol, Traces } from './traces.ts';
import { VERSION } from '../settings/version.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What OpenTelemetry's environment variables ask this server for. */
export type TraceWish =
  | { readonly kind: 'off' }
  | { readonly kind: 'on'; readonly protocol: TraceProtocol }
  /** Something that it can't do: nothing is sent anywhere. */
  | { readonly kind: 'unsupported'; readonly why: string };

/** Reads the wish: a collector or the OTLP exporter has to be named, and OpenTelemetry not to be switched off. */
export function readTraceWish(env: Environment): TraceWish {
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

/** Tells a collector of calls, where there is one to be told. */
export interface Telemetry {
  report(record: CallRecord): void;
  /** Sends what is left, as far as that takes no longer than a client waits for a server's end. */
  close(): Promise<void>;
}

/** How long the end of this process may wait for the collector. */
const LAST_SEND_MS = 2_000;

/** Creates it. OpenTelemetry is loaded where it is wished for alone, and beside the server's start; what goes wrong in it is logged and no more. */
export function createTelemetry(env: Environment, log: Log): Telemetry {
  const wish = readTraceWish(env);
  if (wish.kind === 'unsupported') log.warn({ why: wish.why }, 'no traces are sent');
  if (wish.kind !== 'on') return { report: () => undefined, close: () => Promise.resolve() };
  const traces = loadTraces(wish.protocol, log);
  const tryWith = (use: (loaded: Traces) => void | Promise<void>): Promise<void> =>
    traces.then(use).catch((error: unknown) => log.warn({ err: error }, 'traces'));
  return {
    report: (record) => void tryWith((loaded) => loaded.add(record)),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, LAST_SEND_MS);
      });
      await Promise.race([tryWith((loaded) => loaded.close()), enough]);
      clearTimeout(timer);
    },
  };
}

/** OpenTelemetry shows a collector's whole answer. */
const LONGEST_COMPLAINT = 1_000;

/** From a bundle of its own, so that nobody else's start pays for it. */
async function loadTraces(protocol: TraceProtocol, log: Log): Promise<Traces> {
  const { startTraces } = await import('./traces.ts');
  const warn = (message: string): void => log.warn({ message: message.slice(0, LONGEST_COMPLAINT) }, 'traces');
  return startTraces({ protocol, version: VERSION, warn });
}
