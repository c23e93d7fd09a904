import type { ChangeFacts } from '../changes/change-facts.ts';
import { formatDollars, formatPrice, plural } from '../core/format-values.ts';
import type { Printed, Report } from '../core/report.ts';
import { ownText } from '../core/transcript.ts';
import type { RunFacts } from '../dstack/output/read-run.ts';
import { readChat } from './chat.ts';
import type { ChatAnswer } from './chat.ts';
import type { Judgment, ServiceState } from './describe-answer.ts';
import type { HttpAnswer, HttpFailure, HttpRequest } from './http-exchange.ts';
import { dollarsPerMillion } from './load.ts';
import type { LoadResult, LoadSize } from './load.ts';

/** The facts of a request. */
export interface RequestFacts extends Pick<
  ChangeFacts,
  'operation' | 'resource' | 'project' | 'token' | 'expiresAt' | 'access'
> {
  readonly state: ServiceState;
  readonly httpStatus: number;
  readonly durationMs: number;
  readonly bytes: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly load: Omit<LoadResult, 'seconds'> & {
    readonly requestsPerSecond: number;
    readonly tokensPerSecond?: number;
    readonly dollarsPerMillionTokens?: number;
  };
}

/** The parts of a report about one answer. */
export interface Answered {
  readonly request: HttpRequest;
  readonly end: HttpAnswer | HttpFailure;
  readonly judgment: Judgment;
  readonly isChat: boolean;
}

/** Reports one answer. Whatever the service wrote is in the fenced part. */
export function reportAnswer(
  run: RunFacts,
  { request, end, judgment: { outcome, state, says, next }, isChat }: Answered,
): Report<RequestFacts> {
  const command = `${request.method} ${request.url.href}`;
  if (end.kind === 'failure')
    return {
      outcome,
      summary: `${run.name}: ${says}`,
      printed: [],
      facts: { state, durationMs: end.durationMs },
      ...(next === undefined ? {} : { next }),
    };
  const { status, durationMs, body, headers } = end;
  const type = headers.get('content-type') ?? '';
  const chat = isChat ? readChat(type, body.toString('utf8')) : undefined;
  return {
    outcome,
    summary: `${run.name}: ${says}`,
    details: [...describeState(state), ...(chat === undefined ? [] : describeChat(chat, durationMs))],
    printed: [print(command, chat === undefined ? showAnswer(end) : chat.text)],
    facts: {
      state,
      httpStatus: status,
      durationMs,
      bytes: body.length,
      ...(chat?.promptTokens === undefined ? {} : { promptTokens: chat.promptTokens }),
      ...(chat?.completionTokens === undefined ? {} : { completionTokens: chat.completionTokens }),
    },
    ...(next === undefined ? {} : { next }),
  };
}

const print = (label: string, text: string): Printed => ({
  transcript: ownText(text, label),
  untrusted: true,
});

const STATES: Partial<Record<ServiceState, string>> = {
  warm: 'service: up and warm',
  'not-ready': 'service: not ready (a replica runs; its probes do not pass yet, or it is not registered)',
  failing: 'service: up, and failing',
  unauthorized: 'service: unauthorized',
};

const describeState = (state: ServiceState): string[] => [STATES[state] ?? `service: ${state}`];

function describeChat({ finish, promptTokens, completionTokens }: ChatAnswer, durationMs: number): string[] {
  const speed =
    completionTokens === undefined || durationMs === 0 ? undefined : (completionTokens / durationMs) * 1_000;
  return [
    ...(completionTokens === undefined
      ? []
      : [`tokens: ${promptTokens ?? 'unknown'} read, ${completionTokens} written`]),
    ...(speed === undefined ? [] : [`speed: ${speed.toFixed(1)} tokens/s for this request`]),
    ...(finish === undefined || finish === 'stop' ? [] : [`stopped because of: ${finish}`]),
  ];
}

/** Headers that a reader of the answer may need. */
const SHOWN_HEADERS = [
  'content-type',
  'content-length',
  'location',
  'retry-after',
  'allow',
  'etag',
  'last-modified',
  'x-request-id',
];

function showAnswer({ status, headers, body }: HttpAnswer): string {
  const shown = SHOWN_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [`${name}: ${value}`];
  });
  const type = headers.get('content-type') ?? '';
  const text = isText(type, body) ? body.toString('utf8') : `(${body.length} bytes that are not text)`;
  return [`HTTP ${status}`, ...shown, '', text].join('\n').trimEnd();
}

/** Whether a body is text: by its type, and because it has no NUL. */
const isText = (type: string, body: Buffer): boolean =>
  !/^(?:image|audio|video|font)\/|^application\/(?:octet-stream|zip|gzip|pdf|x-tar)\b/i.test(type) && !body.includes(0);

/** Reports a load check: latencies, errors, and for a model what a million tokens cost at this load. */
export function reportLoad(run: RunFacts, size: LoadSize, result: LoadResult): Report<RequestFacts> {
  const { sent, answered, errors, seconds, latency, completionTokens } = result;
  const failed = Object.entries(errors);
  const perSecond = (count: number): number => Number((count / Math.max(seconds, 0.001)).toFixed(2));
  const dollars = dollarsPerMillion(run.pricePerHour, result);
  const { seconds: _seconds, ...facts } = result;
  return {
    outcome: answered === 0 ? 'failed' : 'done',
    summary: `${run.name}: ${answered} of ${plural(sent, 'request')} answered well, ${size.concurrency} at a time, in ${seconds.toFixed(1)} s.`,
    details: [
      ...(sent < size.requests ? [`not sent: ${size.requests - sent}, because the time of this call was over`] : []),
      ...(latency === undefined
        ? []
        : [`latency: p50 ${latency.p50} ms, p90 ${latency.p90} ms, p99 ${latency.p99} ms`]),
      `throughput: ${perSecond(answered)} requests/s`,
      ...(failed.length === 0 ? [] : [`errors: ${failed.map(([what, count]) => `${what} (${count})`).join(', ')}`]),
      ...(completionTokens === undefined
        ? []
        : [`tokens written: ${completionTokens}, ${perSecond(completionTokens)} tokens/s`]),
      ...(dollars === undefined
        ? []
        : [
            `price: ${formatDollars(dollars)} per million tokens written, at this load and ${formatPrice(run.pricePerHour ?? null)}`,
          ]),
    ],
    printed: [],
    facts: {
      load: {
        ...facts,
        requestsPerSecond: perSecond(answered),
        ...(completionTokens === undefined ? {} : { tokensPerSecond: perSecond(completionTokens) }),
        ...(dollars === undefined ? {} : { dollarsPerMillionTokens: dollars }),
      },
    },
    ...(failed.length === 0
      ? {}
      : { next: `Call request once without \`load\` to see the error; logs of ${run.name} says more.` }),
  };
}
