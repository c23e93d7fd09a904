import { ToolError } from '../core/errors.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';

/** The address of a service, if requests may be sent there. */
export interface ServiceAddress {
  /** On the dstack server itself, or a domain of a gateway that the operator named. */
  readonly at: 'server' | 'gateway';
  /** Ends with a slash. */
  readonly base: URL;
}

/** The configuration that decides where a request may go. Nothing in it comes from the server. */
export interface KnownPlaces {
  readonly server: string;
  readonly project: string;
  /** Whether the operator named the domain as one of a gateway. */
  readonly isGateway: (domain: string) => boolean;
}

/**
 * Returns the address of a service. The server chooses the address that it reports: it counts only if it is the service's own place on
 * the configured server, or a domain that the operator named.
 * @throws ToolError `policy` for any other address: nothing is sent there
 */
export function addressOf(run: Pick<RunFacts, 'name' | 'serviceUrl'>, places: KnownPlaces): ServiceAddress {
  const { server, project, isGateway } = places;
  const url = run.serviceUrl !== undefined && URL.canParse(run.serviceUrl) ? new URL(run.serviceUrl) : undefined;
  const own = `${server.replace(/\/+$/, '')}/proxy/services/${encodeURIComponent(project)}/${run.name}/`;
  const base = URL.canParse(own) ? new URL(own) : undefined;
  if (base !== undefined && isPlain(base) && url?.href === base.href) return { at: 'server', base };
  if (url !== undefined && isPlain(url) && url.protocol === 'https:' && url.port === '' && isGateway(url.hostname))
    return { at: 'gateway', base: new URL('/', url) };
  throw new ToolError(
    'policy',
    `The service ${run.name} is at ${url?.origin ?? 'an address that is not valid'}, which is neither the configured dstack server nor a gateway that the operator named. No request and no token was sent.`,
    'Show the user how to call it themselves: get prints the call. The operator can name the domains of gateways in the policy.',
  );
}

/** Without a user, a query and a fragment, over HTTP. */
const isPlain = ({ protocol, username, password, search, hash }: URL): boolean =>
  /^https?:$/.test(protocol) && username === '' && password === '' && search === '' && hash === '';

// Plain characters, and escapes of nothing that a proxy on the way could read as a separator, a dot or another escape.
const PATH = /^\/(?!\/)(?:[\w.~!$&'()*+,;=:@-]|\/(?!\/)|%(?![01]|7f|25|2e|2f|5c|c0|c1)[0-9a-f]{2})*$/i;
const QUERY = /^[\w.~!$&'()*+,;=:@/?%[\]|-]*$/;
/** A segment that leads up, also with the parameters that some servers remove. */
const DOTS = /\/\.{1,2}(?:;[^/]*)?(?:\/|$)/;

/**
 * Checks a path within a service, before anything is run for it.
 * @throws ToolError `invalid-input` for a path that could lead out of the service, for it or for any proxy on the way
 */
export function assertPath(pathAndQuery: string): void {
  const [path = '', ...queries] = pathAndQuery.split('?');
  if (!PATH.test(path) || DOTS.test(path) || !QUERY.test(queries.join('?'))) throw notWithin(pathAndQuery);
}

/** Returns the URL of a path within a service. @throws ToolError as `assertPath` does */
export function resolvePath({ base }: Pick<ServiceAddress, 'base'>, pathAndQuery: string): URL {
  assertPath(pathAndQuery);
  const url = new URL(`${base.href}${pathAndQuery.slice(1)}`);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname) || !isWithin(url))
    throw notWithin(pathAndQuery);
  return url;
}

const notWithin = (pathAndQuery: string): ToolError =>
  new ToolError(
    'invalid-input',
    `${JSON.stringify(pathAndQuery)} isn't a path within the service. Nothing was sent.`,
    'Give a path such as /health or /v1/models?limit=5: it starts with one slash, has no host, no dot segments, and encodes other characters as %20.',
  );

const isWithin = ({ username, password, hash }: URL): boolean => username === '' && password === '' && hash === '';

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

export interface ExchangeLimits {
  readonly timeoutMs: number;
  /** The rest of a longer body isn't read. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** An answer, as far as it was read. */
export interface HttpAnswer {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  /** `cut` at the limit of bytes, `late` at the limit of time, `broken` by the other side. */
  readonly end: 'whole' | 'cut' | 'late' | 'broken';
  readonly durationMs: number;
}

/** No answer arrived. */
export interface HttpFailure {
  readonly kind: 'failure';
  /** `unreachable`: nothing was received by the other side. `lost`: that isn't known. */
  readonly why: 'unreachable' | 'lost' | 'timed-out' | 'cancelled';
  /** The code of the system (ECONNREFUSED), never its message: that can have a header in it. */
  readonly code: string | undefined;
  readonly durationMs: number;
}

/**
 * Sends one request and reads its answer, within limits. It follows no redirect, sends nothing twice, and never throws for what the
 * other side does. The one place in the server that opens connections to a service.
 */
export async function exchange(request: HttpRequest, limits: ExchangeLimits): Promise<HttpAnswer | HttpFailure> {
  const { method, url, headers, body } = request;
  const startedAt = performance.now();
  const durationMs = (): number => Math.round(performance.now() - startedAt);
  const late = AbortSignal.timeout(Math.max(1, Math.round(limits.timeoutMs)));
  const signal = AbortSignal.any([limits.signal, late]);
  try {
    const response = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal,
      ...(body === undefined ? {} : { body }),
    });
    const read = await readBody(response, limits.maxBytes);
    const end = read.end === 'broken' && late.aborted ? 'late' : read.end;
    const { status } = response;
    return { kind: 'answer', status, headers: response.headers, body: read.body, end, durationMs: durationMs() };
  } catch (error) {
    const code = codeOf(error);
    const why = limits.signal.aborted ? 'cancelled' : late.aborted ? 'timed-out' : whyOf(code);
    return { kind: 'failure', why, code, durationMs: durationMs() };
  }
}

/** Parses the body of an answer; undefined if it isn't JSON. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** Reads up to a number of bytes, and closes the connection then. */
async function readBody(
  response: Response,
  maxBytes: number,
): Promise<{ readonly body: Buffer; readonly end: 'whole' | 'cut' | 'broken' }> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const whole = (): Buffer => Buffer.concat(chunks).subarray(0, maxBytes);
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      // Leaving the loop cancels the rest.
      if (bytes > maxBytes) return { body: whole(), end: 'cut' };
    }
    return { body: whole(), end: 'whole' };
  } catch {
    return { body: whole(), end: 'broken' };
  }
}

/** The connection was never made, so no request was received. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

const whyOf = (code: string | undefined): HttpFailure['why'] =>
  code !== undefined && NOT_CONNECTED.has(code) ? 'unreachable' : 'lost';

function codeOf(error: unknown): string | undefined {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' && /^[A-Z_0-9]{2,60}$/.test(code) ? code : undefined;
}

export interface LoadSize {
  readonly requests: number;
  /** The most requests at the same time. */
  readonly concurrency: number;
}

/** The result of a load check. Latencies are those of the answers without an error. */
export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  /** Errors by what they are: `500`, `timed-out`. */
  readonly errors: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** In milliseconds; absent without any answer. */
  readonly latency?: { readonly p50: number; readonly p90: number; readonly p99: number };
  /** Tokens that the model wrote; absent if no answer reports them. */
  readonly completionTokens?: number;
}

export interface LoadOptions {
  /** Must not reject. */
  readonly send: () => Promise<HttpAnswer | HttpFailure>;
  /** Once it says so, what is left isn't sent. */
  readonly stop: () => boolean;
  /** Returns the tokens that an answer reports. Defaults to none. */
  readonly tokensOf?: ((answer: HttpAnswer) => number | undefined) | undefined;
}

/** Sends a request several times, and measures. Of an answer, only its numbers are kept. */
export async function runLoad(
  { requests, concurrency }: LoadSize,
  { send, stop, tokensOf = () => undefined }: LoadOptions,
): Promise<LoadResult> {
  const errors: Record<string, number> = {};
  const latencies: number[] = [];
  let completionTokens: number | undefined;
  let sent = 0;
  const startedAt = performance.now();
  const count = (end: HttpAnswer | HttpFailure): void => {
    const error = errorOf(end);
    if (error !== undefined || end.kind === 'failure') {
      errors[error ?? 'lost'] = (errors[error ?? 'lost'] ?? 0) + 1;
      return;
    }
    latencies.push(end.durationMs);
    const tokens = tokensOf(end);
    if (tokens !== undefined) completionTokens = (completionTokens ?? 0) + tokens;
  };
  const worker = async (): Promise<void> => {
    while (sent < requests && !stop()) {
      sent += 1;
      count(await send());
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, requests) }, worker));
  const seconds = (performance.now() - startedAt) / 1_000;
  latencies.sort((a, b) => a - b);
  const [p50, p90, p99] = [percentile(latencies, 50), percentile(latencies, 90), percentile(latencies, 99)];
  return {
    sent,
    answered: latencies.length,
    errors,
    seconds,
    ...(latencies.length === 0 ? {} : { latency: { p50, p90, p99 } }),
    ...(completionTokens === undefined ? {} : { completionTokens }),
  };
}

function errorOf(end: HttpAnswer | HttpFailure): string | undefined {
  if (end.kind === 'failure') return end.why;
  if (end.status >= 300) return String(end.status);
  return end.end === 'whole' ? undefined : end.end;
}

/** Returns the smallest value that at least this share of the sorted values doesn't exceed. */
export const percentile = (sorted: readonly number[], percent: number): number =>
  sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;

/** Returns the dollars for a million tokens, if a run with this price writes so many in so much time. */
export function dollarsPerMillion(
  pricePerHour: number | undefined,
  { completionTokens = 0, seconds }: Pick<LoadResult, 'completionTokens' | 'seconds'>,
): number | undefined {
  if (pricePerHour === undefined || completionTokens === 0) return undefined;
  return ((pricePerHour / 3_600) * seconds * 1_000_000) / completionTokens;
}
