import { isDeepStrictEqual } from 'node:util';
import type { Report } from '../core/report.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/describe-change.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Execution, PlanScope } from './planned-change.ts';
import { verifyOutcome } from './verify-outcome.ts';
import type { VerifiedOutcome } from './verify-outcome.ts';

/** Makes a change that was consented to, once, and looks up the state of its resource afterwards. */
export async function executeChange(
  { dstack, workspace }: Pick<PlanScope, 'dstack' | 'workspace'>,
  execution: Execution,
  consent: Consent,
): Promise<Report<ChangeFacts>> {
  const { argv, options, resource, facts, profiles, endStates, requests } = execution;
  const transcript = await dstack.change(argv, consent, { ...options, project: resource.project, requests });
  const reported = execution.readOutcome(transcript);
  const swapped =
    transcript.pinning === 'changed' || (profiles !== undefined && (await haveChanged(workspace, profiles)));
  const verified = verifyOutcome(reported, transcript, requests);
  // What the gate stopped changed nothing, swapped or not.
  const outcome = swapped && verified.outcome !== 'refused' ? SWAPPED : verified;
  const name = reported.name ?? resource.name;
  const found = name === undefined ? undefined : await lookUpStatus(dstack, { ...resource, name });
  const wasRemoved = endStates !== undefined && outcome.outcome === 'done';
  const status = found === 'gone' && !wasRemoved ? undefined : found;
  return {
    outcome: outcome.outcome,
    summary: describeResult(outcome, status === undefined ? undefined : `${resource.kind} ${name} is ${status}`),
    printed: [{ transcript, keep: 'end' }],
    facts: {
      ...facts,
      ...(facts.resource === undefined || name === undefined ? {} : { resource: { ...facts.resource, name } }),
      consent: `${consent.level}: ${describeLevel(consent.level)}`,
      ...(status === undefined ? {} : { status }),
    },
    next:
      outcome.outcome === 'done' && isUnaffected(status, endStates) ? lookAgain(resource.kind, status) : outcome.hint,
  };
}

/** Profiles that can't be read anymore have changed, too: the change is made by now, so this must not throw. */
const haveChanged = (
  workspace: PlanScope['workspace'],
  { folder, hashes }: NonNullable<Execution['profiles']>,
): Promise<boolean> =>
  workspace.hashProfiles(folder).then(
    (now) => !isDeepStrictEqual(now, hashes),
    () => true,
  );

/** Returns the status of a resource: `gone` if there is none of that name, undefined if dstack can't be asked. */
export const lookUpStatus = (
  dstack: PlanScope['dstack'],
  wanted: Parameters<typeof findResource>[1],
): Promise<string | undefined> =>
  findResource(dstack, wanted).then(
    (found) => (found === undefined ? 'gone' : found.status),
    () => undefined,
  );

const describeResult = ({ message }: Pick<VerifiedOutcome, 'message'>, state: string | undefined): string =>
  `${message.replace(/\.?$/, '.')}${state === undefined ? '' : ` The ${state}.`}`;

/** A file that was swapped in flight is an incident, whatever dstack reported. */
const SWAPPED: VerifiedOutcome = {
  outcome: 'unknown',
  message:
    'The configuration or a profile changed while dstack read it: what was applied may not be what was approved.',
  hint: 'Show the user the current state with get, and ask what to do.',
};

const isUnaffected = (status: string | undefined, endStates: Execution['endStates']): status is string =>
  status !== undefined && endStates !== undefined && endStates !== 'any' && !endStates.has(status);

/** dstack can lose a stop that coincides with its own update of the run, after it reported success. */
const lookAgain = (kind: string, status: string): string =>
  `dstack accepted it, but the ${kind} is still ${status}. Look again with get. If it stays ${status}, preview it once more.`;
