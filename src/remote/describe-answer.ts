import { formatBytes, formatDuration } from '../core/format-values.ts';
import type { Outcome } from '../core/report.ts';
import { isReady } from '../dstack/describe/describe-facts.ts';
import type { RunFacts } from '../dstack/output/read-run.ts';
import type { HttpAnswer, HttpFailure } from './http-exchange.ts';

/** The state of a service, as its run and its answer show it. */
export type ServiceState =
  | 'warm'
  | 'failing'
  | 'not-ready'
  | 'starting'
  | 'scaled-to-zero'
  | 'unauthorized'
  | 'unreachable'
  | 'no-answer';

/** The meaning of an answer. */
export interface Judgment {
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
export function judge(run: RunFacts, end: HttpAnswer | HttpFailure, { isRead, isForModel }: RequestWay): Judgment {
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
    cancelled: `It was cancelled after ${after}.`,
    lost: `The connection ended without an answer${how}.`,
  }[why];
  const next = `See what it does with logs of ${name}, and metrics.`;
  if (isRead) return { outcome: 'failed', state: 'no-answer', says, next };
  return {
    outcome: 'unknown',
    state: 'no-answer',
    says: `${says} The service may have received the request and acted on it.`,
    next: `${next} Don't repeat it before that.`,
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
