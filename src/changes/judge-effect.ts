import { isRecord } from '../core/values.ts';
import * as z from 'zod';
import type { KnownResource, ResourceKind } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-run.ts';

/** The sign in a resource that a change took effect. */
export type Effect =
  /** `before` is the id of the finished run that had the name; null if there was none, undefined if that isn't known. */
  | { readonly kind: 'created'; readonly before?: string | null | undefined }
  | { readonly kind: 'updated'; readonly before: KnownResource | undefined }
  /** `before` is the id of what was replaced. */
  | { readonly kind: 'replaced'; readonly before: string | undefined }
  | { readonly kind: 'stopped'; readonly id: string }
  | { readonly kind: 'deleted'; readonly id: string; readonly instance?: number | undefined };

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

const instancesOf = z.looseObject({
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
  const { instances } = instancesOf.parse(value);
  return instances.every((one) => one.instance_num !== instance || GOING.has(one.status));
}
