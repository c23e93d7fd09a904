import { describeAccess } from '../configuration/hand-over.ts';
import { explainUnsetVariables } from '../configuration/env-files.ts';
import { reportHandOver } from '../configuration/judge-hand-over.ts';
import type { ApplyRequest, KnownPart } from '../core/change.ts';
import type { CommandFailed } from '../core/report.ts';
import type { Transcript, WireEvent } from '../core/transcript.ts';
import { hasEffect } from '../dstack/argv/check-argv.ts';
import { commandFailed } from '../dstack/client/dstack-client.ts';
import { kindOf, readLookUp } from '../dstack/client/find-resource.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import { readFailure, readOutcome } from '../dstack/output/read-outcome.ts';
import type { Failure } from '../dstack/output/read-outcome.ts';
import { readPlan } from '../dstack/output/read-plan.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';
import { withoutQuestion } from '../dstack/output/plan-text.ts';
import type { HeldCommand } from '../dstack/run/runner.ts';
import { bindChange } from './planned-change.ts';
import { requestsToApply } from './expected-requests.ts';
import type {
  AgreementPlan,
  Execution,
  PlannedChange,
  PlanScope,
  PreparedChange,
  SettledPlan,
  Effect,
} from './planned-change.ts';
import { endedWithoutChange, noLongerPossible } from './execute-change.ts';
import { planAgreement } from './plan-consents.ts';
import {
  describeAction,
  describeMachine,
  describeApplyLosses,
  locationsOf,
  nameOf,
  planFacts,
  planTerms,
  summarizePlan,
  warningsOf,
} from './apply-plan.ts';
import type { ApplyAction, ApplyPlan } from './apply-plan.ts';
import { boundCost, cannotVerify, settle, withReasons, readUpdateEffect } from './judge-plan.ts';
import { enforcePriceCaps } from './apply-command.ts';
import {
  explainInvalidFile,
  explainRefusedRetry,
  keptCredential,
  knownPart,
  readLocalPlan,
  recordSent,
} from './read-local-plan.ts';
import type { LocalPlan } from './read-local-plan.ts';

/** Judges a configuration that is to be applied by what is on this computer. Nothing is sent. */
export async function prepareApply(
  scope: PlanScope,
  request: ApplyRequest,
): Promise<PreparedChange | AgreementPlan | SettledPlan> {
  const local = await readLocalPlan(scope, request);
  if (local.handOver.mustAsk || request.agreement === true) return planAgreement(local);
  const { dstack } = scope;
  const { command, options } = local;
  const argv = await dstack.check({ ...command, flags: { ...command.flags, '--yes': true, '--detach': true } });
  if (!hasEffect(argv, 'change')) throw new TypeError('apply --yes must count as a change');
  const known = knownPart(local, argv.argv);
  return {
    kind: 'prepared',
    known,
    command: { argv, options, project: request.project },
    recordSent: () => recordSent(scope, local),
    async plan() {
      await recordSent(scope, local);
      const { transcript, failure } = await dstack
        .tryRead(command, { ...options, answer: 'n' })
        .catch(async (error: unknown) => {
          throw await explainRefusedRetry(scope, local.file, error);
        });
      if (keptCredential(local, transcript)) return planAgreement(local);
      if (failure !== undefined) throw await explainFailure(scope, local, { transcript, failure });
      const planned = { ...local, transcript, plan: readPlan(transcript, local.head.value) };
      return planChange(scope, { planned, known, printed: [transcript] });
    },
    async planHeld(held) {
      const { path: heldAt } = heldRequest(held);
      const planned = { ...local, transcript: held, plan: readPlan(held, local.head.value, heldAt) };
      return planChange(scope, { planned, known, printed: [] });
    },
    async explainEnd(transcript) {
      const failure = readFailure(transcript);
      if (keptCredential(local, transcript)) return noLongerPossible(planAgreement(local));
      if (failure !== undefined) return explainFailure(scope, local, { transcript, failure });
      return endedWithoutChange(readOutcome(transcript));
    },
  };
}

async function explainFailure(
  { dstack, envFiles }: PlanScope,
  { file, environment, handOver }: LocalPlan,
  { transcript, failure }: { readonly transcript: Transcript; readonly failure: Failure },
): Promise<CommandFailed> {
  const invalid = await explainInvalidFile({ dstack, envFiles }, file, commandFailed(transcript, failure));
  const failed = explainUnsetVariables(invalid, environment, envFiles);
  return reportHandOver(failed, transcript, handOver);
}

const heldRequest = ({ requests }: HeldCommand): Extract<WireEvent, { event: 'held' }> => {
  const held = requests.find(({ event }) => event === 'held');
  if (held?.event !== 'held') throw new TypeError('this command is not held');
  return held;
};

interface PlanToBind {
  readonly planned: ApplyPlan;
  readonly known: KnownPart;
  readonly printed: PlannedChange['printed'];
}

/** Judges what dstack would apply, and binds it. */
async function planChange(scope: PlanScope, { planned: read, known, printed }: PlanToBind): Promise<PlannedChange> {
  const { request, plan, head, file } = read;
  const endpoint = await scope.dstack.endpoint(plan.project ?? request.project);
  const planned = { ...read, endpoint };
  const access = describeAccess(head.value, request.extraFlags?.['--env']);
  const action = possibleAction(plan);
  if (action === undefined) {
    const settled = settle(planned, printed);
    return { ...settled, explain: () => withReasons(scope, planned, settled) };
  }
  const { policy } = scope;
  const name = plan.name ?? plannedName(planned.transcript) ?? head.name;
  policy.assertResourceAllowed({ kind: head.type, name, project: endpoint.project, operation: action });
  policy.assertBackendsAllowed(locationsOf(planned));
  const cost = boundCost(planned, action);
  enforcePriceCaps(policy.caps, head, cost);
  const resource = { kind: kindOf(head.type), name, project: request.project };
  const requests = requestsToApply({ type: head.type, name, action }, planned.transcript);
  const present =
    action === 'create' || name === undefined
      ? 'none'
      : readLookUp(planned.transcript, { ...resource, name, project: endpoint.project });
  if (present === undefined || requests === undefined) return cannotVerify(planned, printed);
  const existing = present === 'none' ? undefined : present;
  const effect = action === 'update' && existing !== undefined ? readUpdateEffect(planned, existing) : undefined;
  if (effect?.blocker !== undefined)
    return settle({ ...planned, plan: { ...plan, blockers: [effect.blocker] } }, printed);
  const losses = effect?.losses ?? describeApplyLosses(planned, action, existing);
  // What may end running replicas needs the consent of a replacement.
  const operation = effect?.mayLoseReplicas === true ? 'replace' : action;
  if (operation !== action)
    policy.assertResourceAllowed({ kind: head.type, name, project: endpoint.project, operation });
  const { project, server } = endpoint;
  const startsEmpty = head.type === 'fleet' && action === 'create' && plan.count?.min === 0;
  return {
    kind: 'ready',
    printed: printed.map(withoutQuestion),
    summary: summarizePlan(planned, action, { cost, effects: effect?.losses ?? [] }),
    facts: planFacts(planned, cost),
    next: 'Show this plan to the user in a code block, unchanged.',
    terms: planTerms(plan, cost),
    cost,
    pending: bindChange({
      request,
      operation,
      known: { ...known, binding: { ...known.binding, project, server } },
      resource: { kind: head.type, name },
      requests,
      present: existing?.id ?? null,
      affected: action === 'replace' ? [nameOf(planned)] : losses,
      cost,
      reachesServer: access.reachesServer,
      shown: {
        action: describeAction(planned, action),
        machine: describeMachine(planned, cost),
        flags: planned.flags,
        losses,
        access: access.says,
        sends: [...planned.handOver.sends, ...planned.handOver.sendsLater],
        warnings: warningsOf(planned),
      },
    }),
    execution: {
      resource,
      requests,
      ...(startsEmpty
        ? { next: 'It has no instance, and costs nothing, until a run needs one. Plan the run now.' }
        : {}),
      effect: action === 'create' ? created(planned, resource) : effectOf(action, existing),
      facts: { operation: plan.action, resource: { kind: head.type, name }, project: endpoint.project },
      profiles: { folder: file.folder, hashes: planned.profiles },
    },
  };
}

const effectOf = (action: 'update' | 'replace', before: KnownResource | undefined): Effect =>
  action === 'update' ? { kind: 'updated', before } : { kind: 'replaced', before: before?.id };

/** A finished run may have had the name before: dstack's own look-up knows. */
function created({ transcript, endpoint }: ApplyPlan, { kind, name }: Execution['resource']): Effect {
  const { project } = endpoint;
  const found = name === undefined ? undefined : readLookUp(transcript, { kind, name, project });
  return { kind: 'created', before: found === 'none' ? null : found?.id };
}

/** Returns the name in the specification that dstack sent; undefined if it sent none, or one without a name. */
function plannedName({ requests = [] }: Pick<Transcript, 'requests'>): string | undefined {
  const planned = requests.find(({ event }) => event === 'plan');
  return planned?.event === 'plan' ? (planned.name ?? undefined) : undefined;
}

function possibleAction({ action, blockers }: PlanFacts): ApplyAction | undefined {
  return action === 'unknown' || action === 'none' || blockers.length > 0 ? undefined : action;
}
