import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { PendingChange, WaitingCall } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { reportFailure } from '../core/report.ts';
import type { Report } from '../core/report.ts';
import { onAbort, within } from '../core/waiting.ts';
import type { ChangeFacts } from './change-facts.ts';

/** A plan that goes on without a call. */
interface SlowPlan<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  endedAtMs: number | undefined;
}

/** Later, the prices and offers of a plan that nobody fetched would be old. */
const KEEP_ENDED_MS = 3 * 60_000;

/** The time of one call. */
interface CallTime {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Keeps a plan that took longer than its call, so that the same call again continues to wait for it. Only the last one goes on: while
 * dstack's server hangs, more of them would keep other commands waiting.
 */
export class SlowPlans<T> {
  readonly #now: () => number;
  #last: { readonly key: string; readonly slow: SlowPlan<T> } | undefined;

  constructor({ now = () => performance.now() }: { readonly now?: () => number } = {}) {
    this.#now = now;
  }

  /** Returns the plan, or undefined if it isn't there in time. A canceled call ends its plan. */
  async wait(
    key: string,
    { waitMs, signal }: CallTime,
    start: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly plan: T } | undefined> {
    const slow = this.#take(key) ?? this.#start(start);
    const stopListening = onAbort(signal, () => slow.abort.abort());
    try {
      const done = await within(
        waitMs,
        slow.result.then((plan) => ({ plan })),
      );
      if (done === undefined) this.#keep(key, slow);
      return done;
    } finally {
      stopListening();
    }
  }

  #take(key: string): SlowPlan<T> | undefined {
    if (this.#last?.key !== key) return undefined;
    const { slow } = this.#last;
    this.#last = undefined;
    const isOld = slow.endedAtMs !== undefined && this.#now() - slow.endedAtMs >= KEEP_ENDED_MS;
    return isOld ? undefined : slow;
  }

  #keep(key: string, slow: SlowPlan<T>): void {
    slow.result.catch(() => undefined);
    this.#last?.slow.abort.abort();
    this.#last = { key, slow };
  }

  #start(start: (signal: AbortSignal) => Promise<T>): SlowPlan<T> {
    const abort = new AbortController();
    const result = start(abort.signal).finally(() => {
      slow.endedAtMs = this.#now();
    });
    const slow: SlowPlan<T> = { result, abort, endedAtMs: undefined };
    return slow;
  }
}

type AnyReport = Report<Record<string, unknown>>;

/** Starts the summary of a result that is returned again, as it was then or as it is now. */
export const usedBefore = (what: 'This token was used' | 'This was approved', when: 'then' | 'now'): string =>
  `${what} before; nothing was done again. The result ${when}: `;

/** Makes the calls that waited for the consent to use a run, and keeps their results. */
export class WaitingCalls {
  readonly #made = new WeakMap<PendingChange, Promise<AnyReport>>();

  /**
   * Makes the call that waited for a consent, after the redemption of its token: once, however often that is redeemed. Returns undefined
   * if there is none.
   */
  async make(
    change: PendingChange,
    { outcome, facts: { consent } }: Report<ChangeFacts>,
    make: (call: WaitingCall) => Promise<AnyReport>,
  ): Promise<AnyReport | undefined> {
    const call = change.request.tool === 'access' ? change.request.call : undefined;
    if (outcome !== 'done' || call === undefined) return undefined;
    const before = this.#made.get(change);
    if (before !== undefined) {
      const report = await before;
      return { ...report, summary: `${usedBefore('This token was used', 'then')}${report.summary}` };
    }
    const made = makeOrReport(() => make(call)).then((report) => withConsent(report, change, consent));
    this.#made.set(change, made);
    return made;
  }
}

/** The consent is given by now, so a failure of the call is reported like its success. */
async function makeOrReport(make: () => Promise<AnyReport>): Promise<AnyReport> {
  try {
    return await make();
  } catch (error) {
    const report = reportFailure(error);
    if (report === undefined) throw error;
    return report;
  }
}

/**
 * Adds which consent is in force from now on, and how it was given; one for this call alone is spent. With details, the text doesn't show
 * it as a fact.
 */
const withConsent = (
  report: AnyReport,
  { request, summary }: PendingChange,
  consent: string | undefined,
): AnyReport => ({
  ...report,
  summary: 'use' in request ? report.summary : `${report.summary} ${summary.action.replace(/^Allow/, 'Allowed')}.`,
  ...(report.details === undefined ? {} : { details: [...report.details, `consent: ${consent ?? 'unknown'}`] }),
  facts: { ...report.facts, consent },
});

/** Arguments of a preview that a call repeats next to its token. */
export interface RepeatedArguments {
  readonly file?: string | undefined;
  readonly run?: readonly string[] | undefined;
  readonly type?: string | undefined;
  readonly name?: string | undefined;
  readonly instance?: number | undefined;
  readonly abort?: boolean | undefined;
  readonly project?: string | undefined;
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
}

/** Compares repeated arguments with the change that the token stands for. @throws ToolError `invalid-input` that names the differences */
export function assertSameArguments(change: PendingChange, given: RepeatedArguments): void {
  const { flags = {}, ...others } = given;
  const shown = shownArguments(change);
  const differences = [...Object.entries(others), ...Object.entries(flags)]
    .filter(([name, value]) => value !== undefined && !isSame(change, shown, [name, value]))
    .map(([name, value]) => `${name} is ${say(shown[name])} there and ${say(value)} here`);
  if (differences.length === 0) return;
  throw new ToolError(
    'invalid-input',
    `The token stands for another change than these arguments: ${differences.join('; ')}. Nothing was changed.`,
    `If the user wants what these arguments say, call ${PREVIEWS[change.binding.tool]} with them: it returns another token.`,
  );
}

/** The tools that preview a change. */
const PREVIEWS = {
  apply: 'plan',
  stop: 'stop',
  delete: 'delete',
  access: 'exec, copy or request',
} as const satisfies Record<PendingChange['binding']['tool'], string>;

type Shown = Readonly<Record<string, unknown>>;

/** Returns the arguments that the change was previewed with, and what they led to. */
function shownArguments({ request, binding }: PendingChange): Shown {
  const { kind: type, name } = binding.resource;
  const common = { type, name, project: binding.project };
  if (request.tool === 'apply') return { ...common, file: request.file, ...request.extraFlags };
  if (request.tool === 'access') return { ...common, run: [request.run] };
  if (request.tool === 'stop')
    return 'runs' in request
      ? { ...common, run: request.runs, abort: false }
      : { ...common, run: [request.run], abort: request.abort };
  return { ...common, ...('file' in request ? { file: request.file } : { instance: request.instance }) };
}

function isSame({ binding }: PendingChange, shown: Shown, [name, value]: readonly [string, unknown]): boolean {
  const before = shown[name];
  if (name === 'file' && typeof value === 'string' && typeof before === 'string')
    return path.normalize(value) === path.normalize(before) || Object.hasOwn(binding.files, value);
  if (name === 'run' && Array.isArray(value) && Array.isArray(before))
    return isDeepStrictEqual(new Set(value), new Set(before));
  return isDeepStrictEqual(value, before);
}

const say = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
