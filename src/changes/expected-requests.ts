import { sha256 } from '../core/values.ts';
import type { Transcript } from '../core/transcript.ts';
import type { ExpectedChange } from '../dstack/run/runner.ts';
import type { ApplyAction } from './apply-plan.ts';

/** A configuration that is applied. */
interface Applied {
  readonly type: string;
  /** Undefined if dstack chooses the name. */
  readonly name: string | undefined;
  readonly action: ApplyAction;
}

/**
 * Returns the change requests that dstack's CLI sends to apply a plan: what replacing stops or deletes first, then the submission of
 * the very specification that was planned. Undefined if that specification isn't known.
 */
export function requestsToApply(
  { type, name, action }: Applied,
  { requests = [] }: Pick<Transcript, 'requests'>,
): readonly ExpectedChange[] | undefined {
  const group = type === 'fleet' || type === 'volume' || type === 'gateway' ? (`${type}s` as const) : 'runs';
  const removal = action !== 'replace' || name === undefined ? [] : [removalRequest(group, name)];
  const planned = requests.find((one) => one.event === 'plan' && one.path === `${group}/get_plan`);
  if (planned?.event === 'plan')
    return [...removal, { path: `${group}/apply`, plan: { path: planned.path, sha256: planned.sha256 } }];
  // dstack submits these without asking the server for a plan (volumes always, gateways before 0.22).
  if (group !== 'volumes' && group !== 'gateways') return undefined;
  return [...removal, { path: `${group}/create`, within: { configuration: { type, name: name ?? null } } }];
}

const removalRequest = (group: 'runs' | 'fleets' | 'volumes' | 'gateways', name: string): ExpectedChange =>
  group === 'runs' ? stopRequest(name, false) : deleteRequest(group, name);

/** Returns the request of `dstack stop`. */
export const stopRequest = (name: string, abort: boolean): ExpectedChange => ({
  path: 'runs/stop',
  body: { runs_names: [name], abort },
});

/** Returns the request that deletes a resource by its name. */
export const deleteRequest = (group: 'runs' | 'fleets' | 'volumes' | 'gateways', name: string): ExpectedChange => ({
  path: `${group}/delete`,
  body: group === 'runs' ? { runs_names: [name] } : { names: [name] },
});

/** Returns the request that deletes one instance of a fleet. */
export const deleteInstanceRequest = (fleet: string, instance: number): ExpectedChange => ({
  path: 'fleets/delete_instances',
  body: { name: fleet, instance_nums: [instance] },
});

/** Returns what a consent binds of the requests. */
export const bindRequests = (requests: readonly ExpectedChange[] | undefined): string | null =>
  requests === undefined ? null : sha256(JSON.stringify(requests));
