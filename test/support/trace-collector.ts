import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import * as z from 'zod';
import { listenOnLoopback } from './listen-on-loopback.ts';

const value = z.union([
  z.object({ stringValue: z.string() }).transform((one) => one.stringValue),
  z.object({ intValue: z.coerce.number() }).transform((one) => one.intValue),
  z.object({ doubleValue: z.number() }).transform((one) => one.doubleValue),
]);
const attributes = z
  .array(z.object({ key: z.string(), value }))
  .transform((all) => Object.fromEntries(all.map((one) => [one.key, one.value])));
const span = z.object({
  name: z.string(),
  kind: z.number(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  startTimeUnixNano: z.coerce.bigint(),
  endTimeUnixNano: z.coerce.bigint(),
  attributes,
  status: z.looseObject({ code: z.number().optional() }),
});
const traces = z.object({
  resourceSpans: z.array(
    z.object({ resource: z.object({ attributes }), scopeSpans: z.array(z.object({ spans: z.array(span) })) }),
  ),
});

/** A received request. */
export interface SentTraces {
  readonly path: string;
  readonly type: string | undefined;
  readonly body: Buffer;
}

/** A fake OTLP collector. */
export interface TraceCollector {
  readonly url: string;
  readonly sent: readonly SentTraces[];
  /** The resources and spans of all JSON requests so far. */
  read(): { readonly resources: readonly Record<string, unknown>[]; readonly spans: readonly z.output<typeof span>[] };
}

/** Starts the collector on a loopback port, and stops it after the test. `answer` handles a request. */
export async function startTraceCollector(
  answer: (response: ServerResponse) => void = (response) => void response.end('{}'),
): Promise<TraceCollector> {
  const sent: SentTraces[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      sent.push({ path: request.url ?? '', type: request.headers['content-type'], body: Buffer.concat(pieces) });
      answer(response);
    });
  });
  const port = await listenOnLoopback(server);
  return {
    url: `http://127.0.0.1:${port}`,
    sent,
    read() {
      const all = sent.flatMap(({ body }) => traces.parse(JSON.parse(body.toString())).resourceSpans);
      return {
        resources: all.map(({ resource }) => resource.attributes),
        spans: all.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      };
    },
  };
}
