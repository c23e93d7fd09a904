import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { describeAccess } from '../configuration/describe-access.ts';
import { agreeOnEnvFiles } from '../configuration/agree-on-env-files.ts';
import { explainUnsetVariables, environmentFor } from '../configuration/env-files.ts';
import { judgeHandOver, reportHandOver } from '../configuration/judge-hand-over.ts';
import { readJudgedConfiguration } from '../configuration/read-configuration.ts';
import type { ApplyRequest } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import type { Transcript } from '../core/transcript.ts';
import { formatPrice } from '../core/format-values.ts';
import { isRunType } from '../core/run-state.ts';
import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CommandRequest } from '../dstack/argv/command.ts';
import { commandFailed } from '../dstack/client/dstack-client.ts';
import { findResource, kindOf, missingLookUp } from '../dstack/client/find-resource.ts';
import type { FoundResource } from '../dstack/client/find-resource.ts';
import { readApplyOutcome } from '../dstack/output/read-outcome.ts';
import { readPlan } from '../dstack/output/read-plan.ts';
import { withoutQuestion } from '../dstack/output/trim-plan.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';
import type { Execution, PlannedChange, PlanScope, SettledPlan } from './planned-change.ts';
import { applyCommand } from './apply-command.ts';
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
import type { ApplyAction, ApplyPlan, PreparedPlan } from './apply-plan.ts';
import { bindChange } from './bind-change.ts';
import { planAgreement } from './plan-agreement.ts';
import { explainNoOffers } from './explain-no-offers.ts';
import { explainInvalidFile } from './explain-invalid-file.ts';
import { boundCost } from './bound-cost.ts';
import { enforcePriceCaps } from './enforce-price-caps.ts';
import { requestsToApply } from './expected-requests.ts';
import type { Effect } from './judge-effect.ts';

/** Plans a configuration by answering `n` to dstack's own question, and binds what would be applied. */
export async function planApply(scope: PlanScope, request: ApplyRequest): Promise<PlannedChange> {
  const prepared = await prepare(scope, request);
  const { handOver } = prepared;
  if (handOver.mustAsk || request.agreement === true) return planAgreement(prepared);
  const made = await makePlan(scope, prepared);
  if (made === 'kept-credential') return planAgreement(prepared);
  const { planned, command, options } = made;
  const { plan, head, endpoint } = planned;
  const action = possibleAction(plan);
  if (action === undefined) {
    const settled = settle(planned);
    return { ...settled, explain: () => withReasons(scope, planned, settled) };
  }
  const { dstack, policy } = scope;
  const name = plan.name ?? head.name;
  policy.assertResourceAllowed({ kind: head.type, name, project: endpoint.project, operation: action });
  policy.assertBackendsAllowed(locationsOf(planned));
  const cost = boundCost(planned, action);
  const access = describeAccess(head.value);
  enforcePriceCaps(policy.caps(), head, cost);
  const resource = { kind: kindOf(head.type), name, project: request.project };
  const present =
    action === 'create' || name === undefined ? undefined : await findResource(dstack, { ...resource, name });
  const cli = await dstack.cli();
  const requests = cli.isPython ? requestsToApply({ type: head.type, name, action }, planned.transcript) : undefined;
  if (cli.isPython && requests === undefined) return cannotVerify(planned);
  const argv = await dstack.check({ ...command, flags: { ...command.flags, '--yes': true, '--detach': true } });
  if (!hasEffect(argv, 'change', 'destroy')) throw new TypeError('apply --yes must count as a change');
  return {
    kind: 'ready',
    printed: [withoutQuestion(planned.transcript)],
    summary: summarizePlan(planned, action, cost),
    facts: planFacts(planned, cost),
    next: 'Show this plan to the user. Only after they approve, call apply with the token.',
    terms: planTerms(plan),
    cost,
    pending: bindChange({
      request,
      operation: action,
      argv,
      resource: { kind: head.type, name },
      endpoint,
      cliVersion: cli.version,
      requests,
      present: present?.id ?? null,
      affected: action === 'replace' ? [nameOf(planned)] : [],
      files: { cwd: planned.file.folder, hashes: filesOf(planned) },
      cost,
      reachesServer: access.reachesServer,
      shown: {
        action: describeAction(planned, action),
        machine: describeMachine(planned, cost),
        flags: planned.flags,
        losses: describeApplyLosses(planned, action, present),
        access: access.says,
        sends: handOver.sends,
        warnings: warningsOf(planned),
      },
    }),
    execution: {
      argv,
      options,
      resource,
      requests,
      readOutcome: readApplyOutcome,
      effect: effectOf(action, present),
      facts: { operation: plan.action, resource: { kind: head.type, name }, project: endpoint.project },
      profiles: { folder: planned.file.folder, hashes: planned.profiles },
    },
  };
}

function effectOf(action: ApplyAction, before: FoundResource | undefined): Effect {
  if (action === 'create') return { kind: 'created' };
  return action === 'update' ? { kind: 'updated', before } : { kind: 'replaced', before: before?.id };
}

/** Everything that is decided before dstack is started. @throws ToolError if the policy or the hand-over forbids the plan */
async function prepare(
  { dstack, policy, workspace, envFiles, agreements, maxUploadBytes }: PlanScope,
  request: ApplyRequest,
): Promise<PreparedPlan> {
  const file = await workspace.readConfiguration(request.file);
  const cli = await dstack.cli();
  const head = await readJudgedConfiguration(cli, file);
  const { type: kind, name } = head;
  if (kind === 'preset') throw presetRefused(file.relativePath);
  // Before dstack runs: even a plan hands files over to the project.
  const endpoint = await dstack.endpoint(request.project);
  policy.assertResourceAllowed({ kind, name, project: endpoint.project });
  const { command, flags } = await applyCommand({ ...cli, policy }, request, { file, head });
  const named = await environmentFor({ envFiles, cli: () => dstack.cli() }, file, {
    head,
    extraFlags: request.extraFlags,
  });
  const { server } = endpoint;
  const folder = path.dirname(file.realPath);
  const { environment, open } = await agreeOnEnvFiles({ envFiles, agreements, server }, folder, named);
  const judged = await judgeHandOver(
    { cli, folders: workspace.folders, policy, agreements, server, maxUploadBytes },
    { file, value: head.value, environment },
  );
  // dstack would fail on the first of these variables; if another is set nowhere, consent wouldn't help.
  const isAsked = open.length > 0 && open.length === environment.unset.length && !policy.readOnly;
  const handOver = isAsked ? { ...judged, open: [...judged.open, ...open], mustAsk: true } : judged;
  const missing = await missingLookUp(cli.catalog, kindOf(head.type));
  const known = { request, file, head, endpoint, cliVersion: cli.version, missingLookUp: missing };
  return { ...known, environment, handOver, command, flags };
}

/**
 * Has dstack plan the configuration. `kept-credential`: it needs a credential that nobody agreed to send, which the gate kept here.
 * @throws CommandFailed if dstack refuses it
 */
async function makePlan(
  scope: PlanScope,
  { endpoint: expected, command, ...prepared }: PreparedPlan,
): Promise<{ planned: ApplyPlan; command: CommandRequest; options: Execution['options'] } | 'kept-credential'> {
  const { dstack, workspace, envFiles } = scope;
  const { request, file, head, environment, handOver } = prepared;
  await recordSent(scope, { ...prepared, endpoint: expected, command });
  const options = {
    cwd: file.folder,
    env: environment.values,
    pinnedFile: { path: file.realPath, bytes: file.bytes },
    credentials: handOver.credentials,
  };
  const { hashes: profiles, texts: profileTexts } = await workspace.readProfiles(file.folder);
  const { transcript, failure } = await dstack.tryRead(command, { ...options, answer: 'n' });
  if (failure !== undefined) {
    if (handOver.open.length > 0 && keptCredential(transcript)) return 'kept-credential';
    const invalid = await explainInvalidFile({ dstack, envFiles }, file, commandFailed(transcript, failure));
    const failed = explainUnsetVariables(invalid, environment, envFiles);
    throw reportHandOver(failed, transcript, handOver);
  }
  const plan = readPlan(transcript, head.value);
  const endpoint = await dstack.endpoint(plan.project ?? request.project);
  return { planned: { ...prepared, transcript, plan, endpoint, profiles, profileTexts }, command, options };
}

const keptCredential = ({ requests = [] }: Transcript): boolean =>
  requests.some((one) => one.event === 'denied' && one.credential === true);

/** Records what a plan sends before it does. @throws ToolError `audit-unavailable`: nothing is sent then */
async function recordSent({ dstack, audit }: PlanScope, prepared: PreparedPlan): Promise<void> {
  const { handOver, head, endpoint, command, file } = prepared;
  if (handOver.sends.length === 0) return;
  const { argv } = await dstack.check(command);
  audit.write({
    id: randomBytes(4).toString('hex'),
    event: 'planned',
    tool: 'plan',
    operation: 'plan',
    resource: { kind: head.type, name: head.name },
    ...endpoint,
    argv,
    files: { ...handOver.hashes, [file.realPath]: file.sha256 },
    pricePerHour: null,
    sends: handOver.sends,
  });
}

const filesOf = ({ file, profiles, environment, handOver }: ApplyPlan): Readonly<Record<string, string>> => ({
  ...handOver.hashes,
  [file.realPath]: file.sha256,
  ...profiles,
  ...environment.files,
});

/** dstack creates a preset by an agent that it stays attached to (cli/services/configurators/preset.py): no call lasts that long. */
const presetRefused = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} is a preset, which dstack can't create detached: it runs an agent on this computer and stays attached to it, possibly for hours. Nothing was run.`,
    `The user can run \`dstack apply -f ${file}\` in a terminal; list with kind "presets" shows the existing ones.`,
  );

function possibleAction({ action, blockers }: PlanFacts): ApplyAction | undefined {
  return action === 'unknown' || action === 'none' || blockers.length > 0 ? undefined : action;
}

/** A dstack that plans in another way than those that are known: what it would send can't be compared with what was approved. */
const cannotVerify = (planned: ApplyPlan): PlannedChange => ({
  kind: 'settled',
  printed: [planned.transcript],
  facts: planFacts(planned, boundCost(planned, 'create')),
  outcome: 'unknown',
  summary: "This server doesn't recognize the requests of the installed dstack, so it can't apply the plan.",
  next: 'Show the plan to the user. The doctor tool shows which dstack is used; a newer dstack-mcp may know it.',
});

/** Adds to a plan without offers which constraint excludes them, and the best offer without it. */
async function withReasons(
  { dstack, policy }: PlanScope,
  planned: ApplyPlan,
  settled: SettledPlan,
): Promise<SettledPlan> {
  const { plan, head, request, file } = planned;
  if (!isRunType(head.type) || !plan.blockers.some(({ code }) => code === 'no-offers')) return settled;
  const { extraFlags = {}, project } = request;
  const { maxPrice } = policy.caps();
  const own = [head.value['max_price'], extraFlags['--max-price']].map(Number).filter(Number.isFinite);
  const isCapped = maxPrice !== undefined && !own.some((price) => price <= maxPrice);
  const reasons = await explainNoOffers(dstack, {
    properties: plan.properties,
    configuration: head.value,
    flags: extraFlags,
    project,
    cwd: file.folder,
    cap: isCapped
      ? `this server's price cap of ${formatPrice(maxPrice)} (DSTACK_MCP_MAX_PRICE, or max_price in its policy), which only the user can change`
      : undefined,
  });
  if (reasons === undefined) return settled;
  return {
    ...settled,
    summary:
      "It can't run right now: No matching instance offers available. The best offers without one of its constraints:",
    details: reasons.map((reason) => `- ${reason}`),
    next: 'Tell the user what would fit, and plan again with what they choose: max_price, spot, gpu or fleet as arguments, anything else in the file. A `retry` with on_events [no-capacity] lets the run wait instead.',
  };
}

function settle(planned: ApplyPlan): SettledPlan {
  const { plan, transcript } = planned;
  const [blocker] = plan.blockers;
  const common = {
    kind: 'settled',
    // A question in unknown words is what the user should see.
    printed: [plan.action === 'unknown' ? transcript : withoutQuestion(transcript)],
    facts: planFacts(planned, boundCost(planned, 'create')),
  } as const;
  const next = blocker?.hint ?? 'Show the output to the user.';
  if (plan.action === 'none')
    return {
      ...common,
      outcome: 'nothing-to-do',
      summary: `${nameOf(planned)} already matches the configuration.`,
      next: 'Nothing has to be applied. See its state with get.',
    };
  if (plan.action === 'unknown')
    return {
      ...common,
      outcome: 'unknown',
      summary: `This server doesn't recognize what the plan would do, so it can't be applied: ${blocker?.message ?? ''}`,
      next,
    };
  return { ...common, outcome: 'blocked', summary: `It can't run right now: ${blocker?.message ?? ''}`, next };
}
