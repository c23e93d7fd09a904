import { isDeepStrictEqual } from 'node:util';
import type { Printed, Report } from '../core/report.ts';
import type { Transcript } from '../core/transcript.ts';
import { withoutPlan } from '../dstack/output/trim-plan.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/describe-change.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Execution, PlanScope } from './planned-change.ts';
import { settleOutcome } from './settle-outcome.ts';
import { verifyOutcome } from './verify-outcome.ts';
import type { VerifiedOutcome } from './verify-outcome.ts';

/** Makes a change that was consented to, once, and looks at its resource until the change is past the point of return. */
export async function executeChange(
  { dstack, workspace }: Pick<PlanScope, 'dstack' | 'workspace'>,
  execution: Execution,
  consent: Consent,
): Promise<Report<ChangeFacts>> {
  const { argv, options, resource, facts, profiles, effect, requests } = execution;
  const transcript = await dstack.change(argv, consent, { ...options, project: resource.project, requests });
  const reported = execution.readOutcome(transcript);
  const swapped =
    transcript.pinning === 'changed' || (profiles !== undefined && (await haveChanged(workspace, profiles)));
  const verified = verifyOutcome(reported, transcript, requests);
  // What the gate stopped changed nothing, swapped or not.
  const checked = swapped && verified.outcome !== 'refused' ? SWAPPED : verified;
  const name = reported.name ?? resource.name;
  const { outcome, status } =
    name === undefined
      ? { outcome: checked, status: undefined }
      : await settleOutcome(dstack, { ...resource, name, effect }, checked);
  return {
    outcome: outcome.outcome,
    summary: describeResult(outcome, status === undefined ? undefined : `${resource.kind} ${name} is ${status}`),
    details: [
      ...(facts.project === undefined ? [] : [`project: ${facts.project}`]),
      `approved by ${consent.level}: ${describeLevel(consent.level)}`,
    ],
    printed: showResult(transcript, outcome),
    facts: {
      ...facts,
      ...(facts.resource === undefined || name === undefined ? {} : { resource: { ...facts.resource, name } }),
      consent: `${consent.level}: ${describeLevel(consent.level)}`,
      ...(status === undefined ? {} : { status }),
    },
    next: outcome.hint,
  };
}

/** The plan was shown before. What is left of the output of a change that was made is usually the line that proves it. */
function showResult(transcript: Transcript, { outcome, message }: VerifiedOutcome): Printed[] {
  if (outcome !== 'done') return [{ transcript, keep: 'end' }];
  const rest = withoutPlan(transcript.stdout);
  return rest === message && transcript.stderr.trim() === ''
    ? []
    : [{ transcript: { ...transcript, stdout: rest }, keep: 'end' }];
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

const describeResult = ({ message }: Pick<VerifiedOutcome, 'message'>, state: string | undefined): string =>
  // "Run x submitted" says it already.
  `${message.replace(/\.?$/, '.')}${state === undefined || (message.includes('submitted') && state.endsWith(' is submitted')) ? '' : ` The ${state}.`}`;

/** A file that was swapped in flight is an incident, whatever dstack reported. */
const SWAPPED: VerifiedOutcome = {
  outcome: 'unknown',
  message:
    'The configuration or a profile changed while dstack read it: what was applied may not be what was approved.',
  hint: 'Show the user the current state with get, and ask what to do.',
  accepted: 'incident',
};
