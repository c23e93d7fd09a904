import { DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, diag, trace } from '@opentelemetry/api';
import type { Attributes, Context, Tracer } from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { CallRecord, CommandRecord } from './calls.ts';

/** The encoding in which spans are sent to the collector. */
export type TraceProtocol = 'http/protobuf' | 'http/json';

/** Sends calls to a collector as spans. */
export interface Traces {
  /** Adds the spans of a finished call. */
  add(record: CallRecord): void;
  /** Sends the remaining spans. */
  close(): Promise<void>;
}

export interface TracesOptions {
  readonly protocol: TraceProtocol;
  readonly version: string;
  readonly warn: (message: string) => void;
}

/** Starts sending traces. OpenTelemetry reads the collector, batch size and sampling from its own environment variables. */
export function startTraces({ protocol, version, warn }: TracesOptions): Traces {
  const ignore = (): void => undefined;
  diag.setLogger({ error: warn, warn, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN);
  const provider = new BasicTracerProvider({
    // The environment's description of the service takes precedence.
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'dstack-mcp', 'service.version': version }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(protocol === 'http/json' ? new JsonExporter() : new ProtobufExporter())],
  });
  const tracer = provider.getTracer('dstack-mcp', version);
  return {
    add: (record) => addCall(tracer, record),
    close: () => provider.shutdown(),
  };
}

/** Adds a call's span, with the attributes of OpenTelemetry's MCP conventions; additional attributes are under `dstack_mcp`. */
function addCall(tracer: Tracer, record: CallRecord): void {
  const { id, tool, request, outcome, code, isError, startedAt, durationMs, commands } = record;
  const span = tracer.startSpan(
    request === undefined ? `execute_tool ${tool}` : `tools/call ${tool}`,
    {
      kind: request === undefined ? SpanKind.INTERNAL : SpanKind.SERVER,
      startTime: startedAt,
      attributes: {
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': tool,
        ...(request === undefined
          ? {}
          : { 'mcp.method.name': 'tools/call', 'jsonrpc.request.id': request, 'network.transport': 'pipe' }),
        ...(isError ? { 'error.type': 'tool_error' } : {}),
        'dstack_mcp.call.id': id,
        'dstack_mcp.outcome': outcome,
        ...(code === undefined ? {} : { 'dstack_mcp.code': code }),
      },
    },
    parentOf(record),
  );
  const within = trace.setSpan(ROOT_CONTEXT, span);
  for (const command of commands) addCommand(tracer, command, within);
  if (isError) span.setStatus({ code: SpanStatusCode.ERROR, ...(code === undefined ? {} : { message: code }) });
  span.end(startedAt + durationMs);
}

/** Returns the context of the client's span, if the client sent one. */
function parentOf({ traceparent }: CallRecord): Context {
  const parent = traceparent === undefined ? null : parseTraceParent(traceparent);
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
}

/** Adds a command's span, following the conventions for CLI programs, without the arguments: they may be confidential. */
function addCommand(tracer: Tracer, record: CommandRecord, within: Context): void {
  const { command, ran, exit, exitCode, startedAt, waitedMs, durationMs } = record;
  const isFailed = exitCode !== 0;
  const attributes: Attributes = {
    'process.executable.name': 'dstack',
    ...(exitCode === undefined ? {} : { 'process.exit.code': exitCode }),
    ...(isFailed ? { 'error.type': exitCode === undefined ? exit : String(exitCode) } : {}),
    ...(ran === undefined ? {} : { 'dstack_mcp.command.ran': ran }),
    'dstack_mcp.command.waited_ms': Math.round(waitedMs),
  };
  const span = tracer.startSpan(
    `dstack ${command}`,
    { kind: SpanKind.CLIENT, startTime: startedAt, attributes },
    within,
  );
  if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(startedAt + durationMs);
}
