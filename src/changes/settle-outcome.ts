import { CommandFailed } from '../core/report.ts';
import { waitFor } from '../core/waiting.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import type { ResourceKind } from '../dstack/client/find-resource.ts';
import { judgeEffect } from './judge-effect.ts';
import type { Effect, Sight } from './judge-effect.ts';
import type { PlanScope } from './planned-change.ts';
import { CHECK_FIRST } from './verify-outcome.ts';
import type { VerifiedOutcome } from './verify-outcome.ts';

/** The resource of a change, and what shows that the change took effect. */
export interface Changed {
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

/** Looks at the resource until the change is past the point of return or certainly wasn't made, or the time of the call is over. */
export async function settleOutcome(
  dstack: PlanScope['dstack'],
  changed: Changed,
  verified: VerifiedOutcome,
): Promise<SettledOutcome> {
  let quietSince: number | undefined;
  const poll = async (): Promise<Look> => {
    const look = await lookAt(dstack, changed);
    if (look.sight === 'nothing') quietSince ??= performance.now();
    return look;
  };
  const isQuiet = (): boolean => quietSince !== undefined && performance.now() - quietSince >= SETTLE_MS;
  const done = (look: Look): boolean => isEnough(look, { changed, verified, isQuiet: isQuiet() });
  const first = await poll();
  let last = first;
  if (!done(first)) {
    dstack.deadline.progress('looking until the change has taken effect');
    const waited = await waitFor({
      poll,
      done,
      first,
      intervalMs: LOOK_MS,
      longestMs: LONGEST_MS,
      deadlineMs: dstack.waitMs(),
      signal: dstack.deadline.signal,
    });
    last = waited.value ?? first;
  }
  return { outcome: conclude(last, { changed, verified, isQuiet: isQuiet() }), status: last.status };
}

async function lookAt(dstack: PlanScope['dstack'], { effect, ...wanted }: Changed): Promise<Look> {
  try {
    const found = await findResource(dstack, wanted);
    const isRemoval = effect.kind === 'stopped' || effect.kind === 'deleted';
    const status = found === undefined && isRemoval ? 'gone' : found?.status;
    return { sight: judgeEffect(effect, wanted.kind, found), status };
  } catch (error) {
    const { code } = error instanceof CommandFailed ? error.report.facts : { code: undefined };
    // This server is closing, or the call was cancelled.
    return { sight: code === 'not-started' || code === 'cancelled' ? 'ended' : 'unavailable', status: undefined };
  }
}

interface Context {
  readonly changed: Changed;
  readonly verified: VerifiedOutcome;
  /** Whether nothing of the change has been seen for a while. */
  readonly isQuiet: boolean;
}

function isEnough({ sight }: Look, { changed: { effect }, verified: { accepted }, isQuiet }: Context): boolean {
  if (accepted === 'no' || accepted === 'incident' || sight === 'effective' || sight === 'ended') return true;
  if (accepted === 'open') return isQuiet && sight === 'nothing';
  if (accepted === 'under-way') return false;
  return effect.kind === 'stopped' ? sight === 'nothing' : isProvenByResponse(effect) && sight !== 'nothing';
}

/** dstack's server doesn't take back a resource that it has created or updated. */
const isProvenByResponse = ({ kind }: Effect): boolean =>
  kind === 'created' || kind === 'updated' || kind === 'replaced';

function conclude({ sight }: Look, { changed, verified, isQuiet }: Context): VerifiedOutcome {
  const { kind } = changed.effect;
  const { accepted, message, outcome } = verified;
  if (accepted === 'no' || accepted === 'incident') return verified;
  if (sight === 'effective')
    return outcome === 'done'
      ? verified
      : { ...verified, outcome: 'done', message: say(message, SEEN), hint: FOLLOW[kind] };
  if (accepted === 'yes') {
    if (kind === 'stopped' && sight === 'nothing') return takenBack(changed);
    if (isProvenByResponse(changed.effect) && sight !== 'nothing') return verified;
    return { ...verified, outcome: 'unknown', message: say(message, NOT_SEEN[kind]), hint: CHECK_FIRST };
  }
  if (accepted === 'open' && sight === 'nothing' && isQuiet)
    return { ...verified, outcome: 'failed', message: say(message, NOT_MADE[kind]), hint: ASK_FIRST };
  return outcome === 'unknown' ? verified : { ...verified, outcome: 'unknown', hint: CHECK_FIRST };
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
  created: 'It was not made: nothing of it is there. Nothing was changed',
  updated: 'It was not made: the configuration is unchanged. Nothing was changed',
  replaced: 'Nothing new was submitted; the earlier one may have been stopped or deleted',
  stopped: 'The run is not stopping: the request did not arrive, or dstack refused it or took it back',
  deleted: 'It was not made: it is still there. Nothing was changed',
} as const;

/** dstack's own update of a run can overwrite a stop that arrives while it works on the run. */
const takenBack = ({ name }: Changed): VerifiedOutcome => ({
  outcome: 'failed',
  message: `dstack accepted the stop of run ${name} and then took it back: the run continues, and so does its cost.`,
  hint: 'Stop it again: call stop with `run`, and show the new preview to the user.',
  accepted: 'yes',
});
