import { isDeepStrictEqual } from 'node:util';
import type { Report } from '../core/report.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/describe-change.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Execution, PlanScope } from './planned-change.ts';

/** Makes a change that was consented to, once, and looks up the state of its resource afterwards. */
export async function executeChange(
  { dstack, workspace }: Pick<PlanScope, 'dstack' | 'workspace'>,
  execution: Execution,
  consent: Consent,
): Promise<Report<ChangeFacts>> {
  const { argv, options, resource, facts, profiles, endStates } = execution;
  const transcript = await dstack.change(argv, consent, options);
  const reported = execution.readOutcome(transcript);
  const swapped =
    transcript.pinning === 'changed' ||
    (profiles !== undefined && !isDeepStrictEqual(await workspace.hashProfiles(profiles.folder), profiles.hashes));
  const outcome = swapped ? SWAPPED : reported;
  const name = reported.name ?? resource.name;
  const found =
    name === undefined ? undefined : await findResource(dstack, { ...resource, name }).catch(() => undefined);
  const isGone = endStates !== undefined && found === undefined && reported.outcome === 'done';
  const status = isGone ? 'gone' : found?.status;
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

const describeResult = ({ message }: Pick<ChangeOutcome, 'message'>, state: string | undefined): string =>
  `${message.replace(/\.?$/, '.')}${state === undefined ? '' : ` The ${state}.`}`;

/** A file that was swapped in flight is an incident, whatever dstack reported. */
const SWAPPED: Pick<ChangeOutcome, 'outcome' | 'message' | 'hint'> = {
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
