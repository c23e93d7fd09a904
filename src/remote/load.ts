import type { HttpAnswer, HttpFailure } from './http-exchange.ts';

/** The size of a load check. */
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
