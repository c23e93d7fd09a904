import * as z from 'zod';
import { CommandFailed } from '../core/report.ts';
import type { Outcome } from '../core/report.ts';
import type { Transcript, WireEvent } from '../core/transcript.ts';
import { isRecord } from '../core/values.ts';
import { waitFor } from '../core/waiting.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import type { KnownResource, ResourceKind } from '../dstack/client/find-resource.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { ExpectedChange } from '../dstack/run/runner.ts';
import type { Effect, PlanScope } from './planned-change.ts';

/** The resource of a change, and what shows that the change took effect. */
interface Changed {
  readonly kind: ResourceKind;
  readonly name: string;
  readonly project: string | undefined;
  readonly effect: Effect;
}

/** The outcome of a change, with the status of its resource: `gone` if there is none, undefined if it isn't known. */
export interface SettledOutcome {
  readonly outcome: VerifiedOutcome;
  readonly status: string | undefined;
}

/** The outcome by what is known so far; final once another look-up can't change it. */
interface Conclusion {
  readonly outcome: VerifiedOutcome;
  readonly isFinal: boolean;
}

interface Settlement extends Conclusion, Pick<Look, 'status'> {}

/** A reading of the resource. `unavailable`: dstack couldn't be asked; `ended`: nor can it be asked again in this call. */
interface Look {
  readonly sight: Sight | 'unavailable' | 'ended';
  readonly status: string | undefined;
}

/** The first pause between two looks, and the longest one. */
const LOOK_MS = 100;
const LONGEST_MS = 1_500;
/** The time in which nothing of a request is seen, until it counts as not made: dstack's server waits up to 5 s for a lock before it acts. */
const SETTLE_MS = 10_000;

/**
 * Looks at the resource until the change is past the point of return or certainly wasn't made, or the time of the call is over. `seen` is what
 * its own command saw after the change.
 */
export async function settleOutcome(
  dstack: PlanScope['dstack'],
  changed: Changed,
  { verified, seen }: { readonly verified: VerifiedOutcome; readonly seen?: KnownResource | 'none' | undefined },
): Promise<SettledOutcome> {
  let quietSince: number | undefined;
  const settle = (look: Look): Settlement => {
    if (look.sight === 'nothing') quietSince ??= performance.now();
    const isQuiet = quietSince !== undefined && performance.now() - quietSince >= SETTLE_MS;
    return { ...conclude(look, { changed, verified, isQuiet }), status: look.status };
  };
  const poll = async (): Promise<Settlement> => settle(await lookAt(changed, () => findResource(dstack, changed)));
  const first =
    seen === undefined
      ? await poll()
      : settle(await lookAt(changed, () => Promise.resolve(seen === 'none' ? undefined : seen)));
  let last = first;
  if (!first.isFinal) {
    dstack.deadline.progress('looking until the change has taken effect');
    const waited = await waitFor({
      poll,
      done: ({ isFinal }) => isFinal,
      first,
      intervalMs: LOOK_MS,
      longestMs: LONGEST_MS,
      deadlineMs: dstack.waitMs(),
      signal: dstack.deadline.signal,
    });
    last = waited.value ?? first;
  }
  return { outcome: last.outcome, status: last.status };
}

async function lookAt({ effect, kind }: Changed, find: () => Promise<KnownResource | undefined>): Promise<Look> {
  try {
    const found = await find();
    const isRemoval = effect.kind === 'stopped' || effect.kind === 'deleted';
    const status = found === undefined && isRemoval ? 'gone' : found?.status;
    return { sight: judgeEffect(effect, kind, found), status };
  } catch (error) {
    const { code } = error instanceof CommandFailed ? error.report.facts : { code: undefined };
    // This server is closing, or the call was canceled.
    return { sight: code === 'not-started' || code === 'cancelled' ? 'ended' : 'unavailable', status: undefined };
  }
}

interface Context {
  readonly changed: Changed;
  readonly verified: VerifiedOutcome;
  /** Whether nothing of the change has been seen for a while. */
  readonly isQuiet: boolean;
}

/** dstack's server doesn't take back a resource that it has created or updated. */
const isProvenByResponse = ({ kind }: Effect): boolean =>
  kind === 'created' || kind === 'updated' || kind === 'replaced';

function conclude({ sight }: Look, { changed, verified, isQuiet }: Context): Conclusion {
  const { kind } = changed.effect;
  const { accepted, message, outcome } = verified;
  const final = (of: VerifiedOutcome): Conclusion => ({ outcome: of, isFinal: true });
  const soFar = (of: VerifiedOutcome): Conclusion => ({ outcome: of, isFinal: sight === 'ended' });
  if (accepted === 'no' || accepted === 'incident') return final(verified);
  if (sight === 'effective')
    return final(
      outcome === 'done' ? verified : { ...verified, outcome: 'done', message: say(message, SEEN), hint: FOLLOW[kind] },
    );
  if (accepted === 'yes') {
    if (kind === 'stopped' && sight === 'nothing') return final(takenBack(changed));
    if (isProvenByResponse(changed.effect) && sight !== 'nothing') return final(verified);
    return soFar({ ...verified, outcome: 'unknown', message: say(message, NOT_SEEN[kind]), hint: CHECK_FIRST });
  }
  if (accepted === 'open' && sight === 'nothing' && isQuiet)
    return final({ ...verified, outcome: 'failed', message: say(message, NOT_MADE[kind]), hint: ASK_FIRST });
  return soFar(outcome === 'unknown' ? verified : { ...verified, outcome: 'unknown', hint: CHECK_FIRST });
}

const say = (...sentences: readonly string[]): string => sentences.map((one) => one.replace(/\.?$/, '.')).join(' ');

const SEEN = 'It was made: dstack shows it';

const ASK_FIRST = 'Tell the user. If they still want it, plan it again: the plan shows the current state.';

const FOLLOW = {
  created: 'Follow it with get, fleet or list.',
  updated: 'Follow it with get, fleet or list.',
  replaced: 'Follow it with get, fleet or list.',
  stopped: 'Stopping may take a while: check with get.',
  deleted: 'Deletion may take a while: check with fleet, list or ps.',
} as const;

const NOT_SEEN = {
  created: "dstack doesn't show it yet",
  updated: "dstack doesn't show the new configuration yet",
  replaced: "dstack doesn't show the new one yet",
  stopped: "It couldn't be seen in time that the run is stopping",
  deleted: "It couldn't be seen in time that it was deleted",
} as const;

const NOT_MADE = {
  created: "The change was not made: dstack doesn't show the resource. Nothing was changed",
  updated: 'The change was not made: the configuration is the same as before. Nothing was changed',
  replaced: 'Nothing new was submitted; the earlier one may have been stopped or deleted',
  stopped: 'The run is not stopping: the request did not arrive, or dstack refused it or took it back',
  deleted: 'The change was not made: the resource still exists. Nothing was changed',
} as const;

/** dstack's own update of a run can overwrite a stop that arrives while it works on the run. */
const takenBack = ({ name }: Changed): VerifiedOutcome => ({
  outcome: 'failed',
  message: `dstack accepted the stop of run ${name} and then took it back: the run continues, and so does its cost.`,
  hint: 'Stop it again: call stop with `run`, and show the new preview to the user.',
  accepted: 'yes',
});

/** The outcome of a change, as far as it is known. */
export interface VerifiedOutcome {
  readonly outcome: Outcome;
  readonly message: string;
  readonly hint: string;
  /**
   * Whether dstack's server accepted the change. `open`: it may have, and no request is on its way anymore. `under-way`: the same, and
   * it may still happen. `incident`: it did, but what it accepted isn't known.
   */
  readonly accepted: 'yes' | 'no' | 'open' | 'under-way' | 'incident';
}

type ChangeEvent = Extract<WireEvent, { readonly event: 'sent' | 'answered' | 'lost' }>;

const CHECK_FIRST = 'Check the current state with ps, get, fleet or list before anything is tried again.';

/**
 * Compares what dstack reported with the requests that it really sent: dstack's client repeats a request whose response was lost,
 * and then reports the refusal of the repetition as a failure.
 */
export function verifyOutcome(
  reported: ChangeOutcome,
  { requests, exit }: Pick<Transcript, 'requests' | 'exit'>,
  expected: readonly ExpectedChange[] | undefined,
): VerifiedOutcome {
  const goesOn = exit.kind === 'timed-out' && exit.stillRunning;
  const open = goesOn ? 'under-way' : 'open';
  const asReported = (): VerifiedOutcome => ({ ...reported, accepted: ACCEPTED[reported.outcome] ?? open });
  if (requests === undefined || expected === undefined) return asReported();
  const changes = requests.filter(isChange);
  const sent = changes.filter(({ event }) => event === 'sent');
  const denied = requests.find(({ event }) => event === 'denied');
  const why = denied?.event === 'denied' ? denied.why : undefined;
  if (sent.length === 0) return why === undefined ? withoutRequest(asReported(), exit) : refuse(why);
  const answers = changes.filter((one) => one.event === 'answered');
  if (answers.length < sent.length) return unanswered(sent.at(-1)?.path ?? '', open);
  const made = answers.filter(({ status }) => status < 400);
  // A server that fails, or a proxy in front of it, doesn't say how far it got.
  if (answers.some(({ status }) => status >= 500)) return { ...asReported(), outcome: 'unknown', accepted: open };
  if (made.length < answers.length) return made.length === 0 ? asReported() : halfway(reported, made);
  if (reported.outcome === 'done') return { ...reported, accepted: 'yes' };
  // It goes on, or the report of another request may have been lost.
  if (sent.length < expected.length)
    return goesOn || exit.kind === 'lost' ? { ...reported, accepted: open } : halfway(reported, sent);
  // Without an error, its last line is another one than those that are known, such as a row of a table.
  const hasEndedWell = exit.kind === 'exited' && exit.code === 0;
  return {
    ...reported,
    outcome: 'unknown',
    message: `dstack's server accepted the change.${hasEndedWell ? '' : ` ${reported.message}`}`,
    hint: CHECK_FIRST,
    accepted: 'yes',
  };
}

const isChange = (event: WireEvent): event is ChangeEvent => 'kind' in event && event.kind === 'change';

const ACCEPTED: Partial<Record<ChangeOutcome['outcome'], 'yes' | 'no'>> = {
  done: 'yes',
  'nothing-to-do': 'no',
  blocked: 'no',
  failed: 'no',
};

/** Corrects an outcome that claims more than that no request was sent. A process that is cut off may still send one, or its report was lost. */
function withoutRequest(reported: VerifiedOutcome, exit: Transcript['exit']): VerifiedOutcome {
  const message = `${reported.message} dstack sent no change to its server.`;
  if (reported.outcome === 'done') return { outcome: 'nothing-to-do', message, hint: CHECK_FIRST, accepted: 'no' };
  const hasEnded = exit.kind === 'exited' || exit.kind === 'signalled';
  if (reported.outcome !== 'unknown' || !hasEnded) return reported;
  return { outcome: 'failed', message: `${message} Nothing was changed.`, hint: CHECK_FIRST, accepted: 'no' };
}

const refuse = (why: string): VerifiedOutcome => ({
  outcome: 'refused',
  message: `dstack was about to send something other than what was approved, so the request was stopped: ${why}. Nothing was changed.`,
  hint: 'Plan it again and show the new plan to the user. If it happens again, tell the user.',
  accepted: 'no',
});

const unanswered = (path: string, accepted: 'open' | 'under-way'): VerifiedOutcome => ({
  outcome: 'unknown',
  message: `The request (${path}) was sent once, and the response of dstack's server was lost.`,
  hint: CHECK_FIRST,
  accepted,
});

const halfway = (reported: ChangeOutcome, sent: readonly ChangeEvent[]): VerifiedOutcome => ({
  outcome: 'failed',
  message: `Only the first step was made (${sent.map(({ path }) => path).join(', ')}): what was to be replaced is stopped or deleted, and nothing new was submitted. ${reported.message}`,
  hint: 'Check the current state with get, then plan again to submit the new one.',
  accepted: 'no',
});

/** The effect of a change as its resource shows it: it took effect for good, it may have, or there is no trace of it. */
export type Sight = 'effective' | 'unclear' | 'nothing';

/** Judges whether a change of a resource took effect. Undefined stands for a resource that isn't there. */
export function judgeEffect(effect: Effect, kind: ResourceKind, found: KnownResource | undefined): Sight {
  switch (effect.kind) {
    case 'created':
      if (found === undefined || found.id === effect.before) return 'nothing';
      // dstack keeps finished runs, and their names can be used again.
      return effect.before === undefined && kind === 'run' && readRun(found.value).isFinished ? 'unclear' : 'effective';
    case 'updated':
      if (found === undefined || found.id !== effect.before?.id) return 'unclear';
      return isSame(specOf(found), specOf(effect.before)) ? 'nothing' : 'effective';
    case 'replaced':
      return found === undefined || found.id === effect.before ? 'nothing' : 'effective';
    case 'stopped':
      return found === undefined || found.id !== effect.id ? 'effective' : judgeStop(found);
    case 'deleted':
      return found === undefined || found.id !== effect.id || isBeingDeleted(effect, kind, found)
        ? 'effective'
        : 'nothing';
    default:
      return effect satisfies never;
  }
}

const specOf = ({ value }: KnownResource): unknown => value['run_spec'] ?? value['spec'] ?? value['configuration'];

/** Compares two specifications. The CLI prints more properties than the server of an older release sends. */
function isSame(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((item, index) => isSame(item, other[index]));
  if (!isRecord(one) || !isRecord(other)) return one === other;
  return Object.keys(one).every((name) => !Object.hasOwn(other, name) || isSame(one[name], other[name]));
}

const BY_USER: ReadonlySet<string | undefined> = new Set(['terminated_by_user', 'aborted_by_user']);

/**
 * dstack accepts a stop while it works on the run, and can then overwrite the status `terminating`. That can't happen anymore once it
 * has passed the stop on to a job (server/background/pipeline_tasks/runs/terminating.py).
 */
function judgeStop({ value }: KnownResource): Sight {
  const { status, isFinished, jobs } = readRun(value);
  if (isFinished) return 'effective';
  if (status !== 'terminating') return 'nothing';
  return jobs.some(({ terminationReason }) => BY_USER.has(terminationReason)) ? 'effective' : 'unclear';
}

const GOING: ReadonlySet<string | undefined> = new Set(['terminating', 'terminated']);

/** The instances of a fleet's value. */
export const fleetInstances = z.looseObject({
  instances: z.array(z.looseObject({ instance_num: z.number(), status: z.string() })).default([]),
});

/** A fleet and its instances have a status for it; a volume or a gateway is only gone at the end. */
function isBeingDeleted(
  { instance }: Extract<Effect, { kind: 'deleted' }>,
  kind: ResourceKind,
  { status, value }: KnownResource,
): boolean {
  if (kind !== 'fleet') return false;
  if (GOING.has(status)) return true;
  if (instance === undefined) return false;
  const { instances } = fleetInstances.parse(value);
  return instances.every((one) => one.instance_num !== instance || GOING.has(one.status));
}
