import { isDeepStrictEqual } from 'node:util';
import { ToolError } from '../core/errors.ts';
import type { Printed, Report } from '../core/report.ts';
import type { Transcript } from '../core/transcript.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource, kindOf, lookUpRequest, readLookUpAfter } from '../dstack/client/find-resource.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import { withoutPlan } from '../dstack/output/plan-text.ts';
import { readOutcome } from '../dstack/output/read-outcome.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import { CHANGE_LIMIT_MS } from '../dstack/run/command-call.ts';
import type { UnfinishedChange } from '../safety/audit/unfinished-changes.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/consent-wording.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Execution, PlanScope, PlannedChange, PreparedChange, ReadyChange } from './planned-change.ts';
import { settleOutcome, verifyOutcome } from './settle-outcome.ts';
import type { SettledOutcome, VerifiedOutcome } from './settle-outcome.ts';

/** Returns the consent to a change that dstack is about to make. @throws ToolError if it isn't the one that was approved */
type Grant = (planned: ReadyChange) => Promise<Consent>;

interface MadeChange {
  readonly transcript: Transcript;
  readonly execution: Execution;
  readonly consent: Consent;
}

type Scope = Pick<PlanScope, 'dstack' | 'workspace'>;

/**
 * Makes a change, once, and looks at its resource until the change is past the point of return. Its one command plans and changes: between the plan that
 * the consent is given for and the change lies nothing.
 * @throws ToolError or CommandFailed if nothing was changed, because the change is no longer possible or has no consent
 */
export async function executeChange(scope: Scope, prepared: PreparedChange, grant: Grant): Promise<Made> {
  const { isPython } = await scope.dstack.cli();
  return describeMade(scope, await (isPython ? makeHeld : makeUnjudged)(scope, prepared, grant));
}

/** The result of a change. */
export interface Made {
  readonly report: Report<ChangeFacts>;
  /** Looks at its resource again, for a change whose outcome wasn't known in time. */
  readonly lookAgain: (dstack: PlanScope['dstack']) => Promise<Report<ChangeFacts>>;
}

/** Runs the command, which waits before its first change until the consent is granted for what it is about to do. */
async function makeHeld({ dstack }: Scope, prepared: PreparedChange, grant: Grant): Promise<MadeChange> {
  const approved: Omit<MadeChange, 'transcript'>[] = [];
  const { argv, options, project } = prepared.command;
  await prepared.recordSent();
  const transcript = await dstack.change(
    argv,
    async (held) => {
      const planned = stillPossible(await prepared.planHeld(held));
      const { execution } = planned;
      const { resource, requests: changes } = execution;
      if (changes === undefined) throw new TypeError('a judged change needs its requests');
      const consent = await grant(planned);
      approved.push({ execution, consent });
      const { kind, name } = resource;
      return { consent, changes, ...(name === undefined ? {} : { lookUp: lookUpRequest({ kind, name }) }) };
    },
    { ...options, project },
  );
  const [made] = approved;
  if (made === undefined) throw await prepared.explainEnd(transcript);
  return { ...made, transcript };
}

/** Looks again before the command: an executable that isn't a Python script can't be held. It stops and deletes by name only. */
async function makeUnjudged({ dstack }: Scope, prepared: PreparedChange, grant: Grant): Promise<MadeChange> {
  const planned = stillPossible(await prepared.plan());
  const consent = await grant(planned);
  const { argv, options, project } = prepared.command;
  const transcript = await dstack.change(argv, consent, { ...options, project });
  return { transcript, execution: planned.execution, consent };
}

function stillPossible(planned: PlannedChange): ReadyChange {
  if (planned.kind === 'ready') return planned;
  throw noLongerPossible(planned);
}

/** dstack ended well, and without any change. Its own words may say something else. */
export const endedWithoutChange = ({ outcome, message, hint }: ChangeOutcome): ToolError =>
  outcome === 'nothing-to-do'
    ? noLongerPossible({ summary: message, next: hint })
    : new ToolError(
        'cli-not-understood',
        `dstack sent no change to its server, and ended with: ${message.replace(/\.?$/, '.')} Nothing was changed.`,
        'Check the current state with ps, get, fleet or list. If it happens again, tell the user.',
      );

/** The change that was approved can't be made in the current state. */
export const noLongerPossible = ({ summary, next }: Pick<PlannedChange, 'summary' | 'next'>): ToolError =>
  new ToolError('plan-changed', `The change is no longer possible. Nothing was changed. ${summary}`, next);

async function describeMade(
  { dstack, workspace }: Scope,
  { transcript, execution, consent }: MadeChange,
): Promise<Made> {
  const { resource, profiles, effect, requests, facts } = execution;
  const reported = readOutcome(transcript);
  const swapped = profiles !== undefined && (await haveChanged(workspace, profiles));
  const verified = verifyOutcome(reported, transcript, requests);
  // What the gate stopped changed nothing, swapped or not.
  const checked = swapped && verified.outcome !== 'refused' ? SWAPPED : verified;
  const name = reported.name ?? resource.name;
  const look = async (client: PlanScope['dstack'], seen?: KnownResource | 'none'): Promise<Report<ChangeFacts>> => {
    const settled =
      name === undefined
        ? { outcome: checked, status: undefined }
        : await settleOutcome(client, { ...resource, name, effect }, { verified: checked, seen });
    return describeSettled({ transcript, execution, consent }, name, settled);
  };
  // dstack's server may have renamed it.
  const isSame = name !== undefined && name === resource.name;
  const seen = isSame ? readLookUpAfter(transcript, { kind: resource.kind, name, project: facts.project }) : undefined;
  return { report: await look(dstack, seen), lookAgain: (client) => look(client) };
}

function describeSettled(
  { transcript, execution: { resource, facts, next }, consent }: MadeChange,
  name: string | undefined,
  { outcome, status }: SettledOutcome,
): Report<ChangeFacts> {
  return {
    outcome: outcome.outcome,
    summary: describeResult(outcome, status === undefined ? undefined : `${resource.kind} ${name} is ${status}`),
    details: [
      ...(facts.project === undefined ? [] : [`project: ${facts.project}`]),
      `approved by ${describeLevel(consent.level)}`,
    ],
    printed: showResult(transcript, outcome),
    facts: {
      ...facts,
      ...(facts.resource === undefined || name === undefined ? {} : { resource: { ...facts.resource, name } }),
      consent: describeLevel(consent.level),
      ...(status === undefined ? {} : { status }),
    },
    next: outcome.outcome === 'done' ? (next ?? outcome.hint) : outcome.hint,
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

/** A profile that was swapped in flight is an incident, whatever dstack reported. */
const SWAPPED: VerifiedOutcome = {
  outcome: 'unknown',
  message: 'A profile changed while dstack read it: what was applied may not be what was approved.',
  hint: 'Show the user the current state with get, and ask what to do.',
  accepted: 'incident',
};

/** Looks up the resource of a change that an earlier server left without a result, and says what is known of it by now. */
export async function describeUnfinishedState(
  dstack: DstackClient,
  { entry, approvedAt }: UnfinishedChange,
): Promise<string> {
  const state = await lookUp(dstack, entry);
  // Its process may outlive its server.
  const mayGoOn = Date.now() - approvedAt.getTime() < CHANGE_LIMIT_MS;
  return `${state} ${mayGoOn ? 'dstack may still be working on it. ' : ''}Check with get, ps, fleet or list before you repeat it.`;
}

async function lookUp(dstack: DstackClient, { resource, project, server }: UnfinishedChange['entry']): Promise<string> {
  const { name } = resource;
  const kind = kindOf(resource.kind);
  if (name === undefined) return "Its name isn't known.";
  const isReachable = await dstack.endpoint(project).then(
    (endpoint) => endpoint.server === server,
    (error: unknown) => {
      if (error instanceof ToolError) return false;
      throw error;
    },
  );
  const status = isReachable ? await lookUpStatus(dstack, { kind, name, project }) : undefined;
  if (status === undefined) return `The ${kind} ${name} couldn't be looked up.`;
  return status === 'gone' ? `There is no ${kind} ${name} now.` : `The ${kind} ${name} is ${status} now.`;
}

/** Returns the status of a resource: `gone` if there is none of that name, undefined if dstack can't be asked. */
const lookUpStatus = (dstack: DstackClient, wanted: Parameters<typeof findResource>[1]): Promise<string | undefined> =>
  findResource(dstack, wanted).then(
    (found) => (found === undefined ? 'gone' : found.status),
    () => undefined,
  );
