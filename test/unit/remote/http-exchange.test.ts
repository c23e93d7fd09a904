import { expect, onTestFinished, test, vi } from 'vitest';
import { readTokens } from '../../../src/remote/chat.ts';
import type { HttpAnswer } from '../../../src/remote/http-exchange.ts';
import { dollarsPerMillion, percentile, runLoad } from '../../../src/remote/http-exchange.ts';

const answer = (durationMs: number, more: Partial<HttpAnswer> = {}): HttpAnswer => ({
  kind: 'answer',
  status: 200,
  headers: new Headers({ 'content-type': 'application/json' }),
  body: Buffer.from('{}'),
  end: 'whole',
  durationMs,
  ...more,
});

const ofModel = (tokens: number): Partial<HttpAnswer> => ({
  body: Buffer.from(JSON.stringify({ choices: [{ message: { content: 'x' } }], usage: { completion_tokens: tokens } })),
});

const tokensOf = ({ headers, body }: HttpAnswer) => readTokens(headers.get('content-type') ?? '', body.toString());

test('each request is sent once, and never more at the same time than allowed', async () => {
  let sent = 0;
  let open = 0;
  let most = 0;
  const result = await runLoad(
    { requests: 20, concurrency: 3 },
    {
      send: async () => {
        sent += 1;
        most = Math.max(most, (open += 1));
        await new Promise((resolve) => void setImmediate(resolve));
        open -= 1;
        return answer(5, ofModel(1));
      },
      stop: () => false,
    },
  );
  expect({ sent, most }).toEqual({ sent: 20, most: 3 });
  expect(result).toMatchObject({ sent: 20, answered: 20, errors: {}, latency: { p50: 5, p90: 5, p99: 5 } });
  expect(result).not.toHaveProperty('completionTokens');
});

test('errors are counted by what they are, and count for no latency and no tokens', async () => {
  const ends = [
    answer(10, ofModel(3)),
    answer(1_000, { status: 500, ...ofModel(100) }),
    answer(1_000, { status: 302 }),
    answer(1_000, { end: 'late' }),
    { kind: 'failure', why: 'timed-out', code: undefined, durationMs: 9 } as const,
    answer(30, ofModel(4)),
    { kind: 'failure', why: 'timed-out', code: undefined, durationMs: 9 } as const,
  ];
  let at = 0;
  const result = await runLoad(
    { requests: ends.length, concurrency: 1 },
    { send: async () => ends[at++] ?? answer(0), stop: () => false, tokensOf },
  );
  expect(result).toMatchObject({
    sent: 7,
    answered: 2,
    errors: { '500': 1, '302': 1, late: 1, 'timed-out': 2 },
    latency: { p50: 10, p90: 30, p99: 30 },
    completionTokens: 7,
  });
});

test('of hostile answers with many events a few are parsed, each when it arrives, and none if no model was asked', async () => {
  const events = 'data:{}\n'.repeat(30_000) + 'data:{"usage":{"completion_tokens":2}}\n\ndata: [DONE]\n\n';
  const stream = answer(1, {
    headers: new Headers({ 'content-type': 'text/event-stream' }),
    body: Buffer.from(events),
  });
  const parse = vi.spyOn(JSON, 'parse');
  onTestFinished(() => parse.mockRestore());
  const parsed: number[] = [];
  const send = async (): Promise<HttpAnswer> => {
    parsed.push(parse.mock.calls.length);
    return stream;
  };
  const size = { requests: 4, concurrency: 1 };
  expect(await runLoad(size, { send, stop: () => false, tokensOf })).toMatchObject({ completionTokens: 8 });
  expect(parsed).toEqual([0, 8, 16, 24]);
  parse.mockClear();
  expect(await runLoad(size, { send, stop: () => false })).not.toHaveProperty('completionTokens');
  expect(parse).not.toHaveBeenCalled();
});

test('once the time is over, the rest is not sent', async () => {
  let sent = 0;
  const send = async (): Promise<HttpAnswer> => {
    sent += 1;
    return answer(1, { status: 503 });
  };
  const result = await runLoad({ requests: 100, concurrency: 2 }, { send, stop: () => sent >= 10 });
  expect(result).toMatchObject({ sent: 10, answered: 0, errors: { '503': 10 } });
  expect(result).not.toHaveProperty('latency');
});

test('a percentile is the smallest value that this share does not exceed', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  expect([50, 90, 99, 100].map((percent) => percentile(values, percent))).toEqual([50, 90, 99, 100]);
  expect([50, 90, 99].map((percent) => percentile([7], percent))).toEqual([7, 7, 7]);
  expect([50, 90].map((percent) => percentile([1, 2], percent))).toEqual([1, 2]);
});

test('a million tokens cost what the run costs while it writes them', () => {
  // 1,000 tokens in 10 s at $3.60 an hour: $0.01 for 1,000, so $10 for a million.
  expect(dollarsPerMillion(3.6, { completionTokens: 1_000, seconds: 10 })).toBeCloseTo(10, 9);
  expect(dollarsPerMillion(0, { completionTokens: 1_000, seconds: 10 })).toBe(0);
  expect(dollarsPerMillion(undefined, { completionTokens: 1_000, seconds: 10 })).toBeUndefined();
  expect(dollarsPerMillion(3.6, { seconds: 10 })).toBeUndefined();
});
