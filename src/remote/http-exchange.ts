/** A request to a service. */
export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

/** The limits of one exchange. */
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
