import type { HttpAnswer, HttpFailure } from './http-exchange.ts';
import { readChat } from './chat.ts';

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

/**
 * Sends a request several times, and measures. Once `stop` says so, what is left isn't sent.
 * `send` must not reject.
 */
export async function runLoad(
  { requests, concurrency }: LoadSize,
  send: () => Promise<HttpAnswer | HttpFailure>,
  stop: () => boolean,
): Promise<LoadResult> {
  const ends: (HttpAnswer | HttpFailure)[] = [];
  let sent = 0;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (sent < requests && !stop()) {
      sent += 1;
      ends.push(await send());
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, requests) }, worker));
  return summarize(ends, sent, (performance.now() - startedAt) / 1_000);
}

function summarize(ends: readonly (HttpAnswer | HttpFailure)[], sent: number, seconds: number): LoadResult {
  const errors: Record<string, number> = {};
  const good: HttpAnswer[] = [];
  for (const end of ends) {
    const error = errorOf(end);
    if (error === undefined && end.kind === 'answer') good.push(end);
    else errors[error ?? 'lost'] = (errors[error ?? 'lost'] ?? 0) + 1;
  }
  const latencies = good.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b);
  const tokens = good.flatMap(({ headers, body }) => {
    const answer = readChat(headers.get('content-type') ?? '', body.toString('utf8'));
    return answer?.completionTokens ?? [];
  });
  return {
    sent,
    answered: good.length,
    errors,
    seconds,
    ...(latencies.length === 0
      ? {}
      : {
          latency: { p50: percentile(latencies, 50), p90: percentile(latencies, 90), p99: percentile(latencies, 99) },
        }),
    ...(tokens.length === 0 ? {} : { completionTokens: tokens.reduce((sum, one) => sum + one, 0) }),
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
