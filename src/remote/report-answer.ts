import * as z from 'zod';
import { accessFacts } from '../changes/change-facts.ts';
import { formatBytes, formatDollars, formatDuration, formatPrice, plural } from '../core/values.ts';
import type { Outcome, Printed, Report } from '../core/report.ts';
import { ownText } from '../core/transcript.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import { readChat } from './chat.ts';
import type { ChatAnswer } from './chat.ts';
import type { HttpAnswer, HttpFailure, HttpRequest, LoadResult, LoadSize } from './http-exchange.ts';
import { dollarsPerMillion } from './http-exchange.ts';
import { isReady } from '../dstack/describe/describe-facts.ts';

/** The state of a service, as its run and its answer show it. */
const serviceState = z.enum([
  'warm',
  'failing',
  'not-ready',
  'starting',
  'scaled-to-zero',
  'unauthorized',
  'unreachable',
  'no-answer',
]);
type ServiceState = z.output<typeof serviceState>;

/** A request that needs consent returns its preview. */
export const requestFacts = z.object({
  ...accessFacts.shape,
  state: serviceState,
  httpStatus: z.number(),
  durationMs: z.number(),
  bytes: z.number(),
  promptTokens: z.number(),
  completionTokens: z.number(),
  load: z.looseObject({ sent: z.number(), answered: z.number() }),
});
export type RequestFacts = z.output<typeof requestFacts>;

/** The parts of a report about one answer. */
interface Answered {
  readonly request: HttpRequest;
  readonly end: HttpAnswer | HttpFailure;
  readonly way: RequestWay;
  readonly isChat: boolean;
}

/** Reports one answer. Whatever the service wrote is in the fenced part. */
export function reportAnswer(run: RunFacts, { request, end, way, isChat }: Answered): Report<RequestFacts> {
  const { outcome, state, says, next } = judge(run, end, way);
  const command = `${request.method} ${request.url.href}`;
  const summary = `${run.name}: ${says}`;
  if (end.kind === 'failure')
    return { outcome, summary, printed: [], facts: { state, durationMs: end.durationMs }, next };
  const { status, durationMs, body, headers } = end;
  const type = headers.get('content-type') ?? '';
  const chat = isChat ? readChat(type, body.toString('utf8')) : undefined;
  return {
    outcome,
    summary,
    details: [...describeState(state), ...(chat === undefined ? [] : describeChat(chat, durationMs))],
    printed: [print(command, chat === undefined ? showAnswer(end) : chat.text)],
    facts: {
      state,
      httpStatus: status,
      durationMs,
      bytes: body.length,
      promptTokens: chat?.promptTokens,
      completionTokens: chat?.completionTokens,
    },
    next,
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
    summary: `${run.name}: ${answered} of ${plural(sent, 'request')} succeeded, ${size.concurrency} at a time, in ${seconds.toFixed(1)} s.`,
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
    next:
      failed.length === 0
        ? undefined
        : `Call request once without \`load\` to see the error; logs of ${run.name} says more.`,
  };
}

interface Judgment {
  readonly outcome: Outcome;
  readonly state: ServiceState;
  /** A sentence about it, with nothing that the service wrote. */
  readonly says: string;
  readonly next?: string;
}

/** The kind of a request, and its receiver. */
export interface RequestWay {
  /** It changes nothing, whatever became of it. */
  readonly isRead: boolean;
  /** It went to dstack's endpoint for models. */
  readonly isForModel: boolean;
}

/** Judges what came back from a service, or that nothing did. */
function judge(run: RunFacts, end: HttpAnswer | HttpFailure, { isRead, isForModel }: RequestWay): Judgment {
  if (end.kind === 'failure') return judgeFailure(run, end, isRead);
  const { status, durationMs } = end;
  const says = `HTTP ${status} after ${durationMs} ms, ${describeSize(end)}.`;
  if (status === 401 || status === 403) return { outcome: 'failed', state: 'unauthorized', says, next: UNAUTHORIZED };
  if (isUnregistered(end, isForModel))
    return { outcome: 'failed', state: 'not-ready', says: `${says} ${UNREGISTERED}`, next: AGAIN };
  if (!isReady(run) && status >= 400) return { outcome: 'failed', state: 'not-ready', says, next: waitFor(run) };
  if (status >= 500) return { outcome: 'failed', state: 'failing', says, next: failing(run, status) };
  const state = isReady(run) ? 'warm' : 'not-ready';
  if (status >= 300 && status < 400)
    return { outcome: 'done', state, says: `${says} It leads elsewhere: redirects aren't followed.`, next: REDIRECTED };
  return { outcome: 'done', state, says };
}

function judgeFailure({ name }: RunFacts, { why, code, durationMs }: HttpFailure, isRead: boolean): Judgment {
  const how = code === undefined ? '' : ` (${code})`;
  if (why === 'unreachable')
    return {
      outcome: 'failed',
      state: 'unreachable',
      says: `The address of the service can't be reached${how}: no request was received.`,
      next: 'doctor checks whether the dstack server responds.',
    };
  const after = formatDuration(durationMs);
  const says = {
    'timed-out': `No answer within ${after}.`,
    cancelled: `It was canceled after ${after}.`,
    lost: `The connection ended without an answer${how}.`,
  }[why];
  const next = `Call logs and metrics for ${name} to check what it is doing.`;
  if (isRead) return { outcome: 'failed', state: 'no-answer', says, next };
  return {
    outcome: 'unknown',
    state: 'no-answer',
    says: `${says} The service may have received the request and acted on it.`,
    next: `${next} Don't repeat the request before you know.`,
  };
}

/** Whether dstack itself answered: its replica runs, and dstack hasn't registered it yet. Its endpoint for models fails then. */
function isUnregistered({ status, body }: HttpAnswer, isForModel: boolean): boolean {
  if (body.length > MAX_ERROR_BYTES) return false;
  const text = body.toString('utf8');
  if (isForModel && status === 500) return text === 'Internal Server Error';
  return status === 404 && /^\{"detail":"Service [^"]* not found"\}$/.test(text);
}

const MAX_ERROR_BYTES = 500;
const UNREGISTERED = 'This is what dstack answers until it has registered a replica.';
const AGAIN = 'Call request again in some seconds. If it stays like this, see its logs.';
const UNAUTHORIZED =
  'dstack or the service refused: doctor shows whether the token of the project is valid. Tell the user.';
const REDIRECTED = 'If the location is within the service, call request with that path.';

const waitFor = ({ name }: RunFacts): string =>
  `Its replicas aren't ready: call get of ${name} with wait_for "ready", then this again.`;

const failing = ({ name }: RunFacts, status: number): string =>
  [502, 503, 504].includes(status)
    ? `dstack reached no program on the port of the service, or it was too slow: see logs of ${name}.`
    : `The program failed: see logs of ${name}.`;

function describeSize({ body, end }: HttpAnswer): string {
  const size = formatBytes(body.length);
  if (end === 'whole') return size;
  const why = {
    cut: 'the rest was not read',
    late: 'the rest did not arrive in time',
    broken: 'then the connection broke',
  };
  return `${size}, ${why[end]}`;
}
