import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import { readConfigurationHead } from '../configuration/read-configuration.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import { formatPrice } from '../core/format-values.ts';
import { readPlan } from '../dstack/output/read-plan.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';
import type { PendingChange } from '../safety/consent/gate.ts';
import type { Location } from '../safety/policy/policy-rules.ts';
import { enforcePriceCaps } from './enforce-price-caps.ts';
import { applyCommand } from './apply-command.ts';
import type { ChangeFacts } from './change-facts.ts';
import { commandFailed } from '../dstack/client/dstack-client.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { environmentFor, explainUnsetVariables } from '../configuration/named-environment.ts';
import { findResource, kindOf } from '../dstack/client/find-resource.ts';
import type { FoundResource } from '../dstack/client/find-resource.ts';
import { executeApply } from './execute-apply.ts';
import { planTerms } from './plan-terms.ts';
import type { PlannedChange } from './planned-change.ts';
import type { ApplyRequest } from '../core/change.ts';
import type { Deadline } from '../core/deadline.ts';
import type { ApplyPlan } from './apply-plan.ts';

type PossibleAction = 'create' | 'update' | 'replace';

/** Plans a configuration by answering `n` to dstack's own question, and binds what would be applied. */
export async function planApply(
  engine: App,
  { commands, time }: { commands: DstackClient; time: Deadline },
  request: ApplyRequest,
): Promise<PlannedChange> {
  const file = await engine.workspace.readConfiguration(request.file);
  const head = readConfigurationHead(file.bytes, file.relativePath);
  const { type: kind, name } = head;
  if (kind === 'preset') throw presetRefused(file.relativePath);
  engine.policy.assertResourceAllowed({ kind, name, project: request.project });
  const { command, flags } = await applyCommand(engine, request, { file, head });
  const environment = await environmentFor(engine, file, { head, extraFlags: request.extraFlags });
  const pinnedFile = { path: file.realPath, bytes: file.bytes };
  const where = { cwd: file.folder, env: environment.values, pinnedFile };
  const profiles = await engine.workspace.hashProfiles(file.folder);
  const { transcript, failure } = await commands.tryRead(command, { ...where, answer: 'n' });
  if (failure !== undefined)
    throw explainUnsetVariables(commandFailed(transcript, failure), environment, engine.envFiles);
  const plan = readPlan(transcript, head.value);
  const { project, server } = await engine.endpoint(plan.project ?? request.project);
  const planned: ApplyPlan = { request, file, head, transcript, plan, project, server, profiles, environment, flags };
  const action = possibleAction(plan);
  if (action === undefined) return nothingToConsentTo(planned);
  engine.policy.assertResourceAllowed({ kind, name: plan.name ?? name, project, operation: action });
  engine.policy.assertBackendsAllowed(placesOf(planned));
  await enforcePriceCaps(engine, commands, planned);
  const known = plan.name ?? name;
  const present =
    action === 'create' || known === undefined
      ? undefined
      : await findResource(commands, { kind: kindOf(kind), name: known, project: request.project });
  const argv = await commands.check({ ...command, flags: { ...command.flags, '--yes': true, '--detach': true } });
  if (!hasEffect(argv, 'change', 'destroy')) throw new TypeError('an apply with --yes changes something');
  const pending = await bindApply(engine, planned, { action, argv, present });
  return {
    printed: [transcript],
    summary: summarizePlan(planned, action),
    facts: planFacts(planned),
    next: 'Show this plan to the user. Only after their yes, call apply with the token.',
    pending,
    terms: planTerms(plan),
    perform: (consent) => executeApply(engine, { commands, time }, { planned, argv, consent, where }),
  };
}

/** dstack creates a preset by an agent that it stays attached to (cli/services/configurators/preset.py): no call lasts that long. */
const presetRefused = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} is a preset, which dstack can't create detached: it runs an agent on this computer and stays attached to it, for hours maybe. Nothing was run.`,
    `A person can run \`dstack apply -f ${file}\` in a terminal; list with kind "presets" shows the ones that there are.`,
  );

function possibleAction(plan: PlanFacts): PossibleAction | undefined {
  if (plan.action === 'unknown' || plan.action === 'none' || plan.blockers.length > 0) return undefined;
  return plan.action;
}

function nothingToConsentTo(planned: ApplyPlan): PlannedChange {
  const { plan, transcript } = planned;
  const shown = {
    printed: [transcript],
    facts: planFacts(planned),
    perform: () => Promise.reject(new TypeError('nothing to perform')),
  };
  const [blocker] = plan.blockers;
  if (plan.action === 'none') {
    return {
      ...shown,
      outcome: 'nothing-to-do',
      summary: `${nameOf(planned)} is as the file says already.`,
      next: 'Nothing has to be applied. Look at it with get.',
    };
  }
  if (plan.action === 'unknown') {
    return {
      ...shown,
      outcome: 'unknown',
      summary: `What this plan would do isn't recognised, so it can't be applied: ${blocker?.message ?? ''}`,
      next: blocker?.hint ?? 'Show the output to the user.',
    };
  }
  return {
    ...shown,
    outcome: 'blocked',
    summary: `It can't run as things stand: ${blocker?.message ?? ''}`,
    next: blocker?.hint ?? 'Show the output to the user.',
  };
}

async function bindApply(
  engine: App,
  planned: ApplyPlan,
  { action, argv, present }: { action: PossibleAction; argv: CheckedArgv; present: FoundResource | undefined },
): Promise<PendingChange> {
  const { plan, head, file, project, server, request } = planned;
  const name = plan.name ?? head.name;
  const resource = { kind: head.type, name };
  return {
    request,
    operation: action,
    argv: argv.argv,
    binding: {
      tool: 'apply',
      resource,
      project,
      server,
      cwd: file.folder,
      files: { [file.realPath]: file.sha256, ...planned.profiles, ...planned.environment.files },
      present: present?.id ?? null,
      affected: action === 'replace' ? [nameOf(planned)] : [],
      pricePerHour: hourly(plan) ?? null,
      cliVersion: (await engine.cli()).version,
    },
    summary: {
      action: describeAction(planned, action),
      resource,
      project,
      server,
      pricePerHour: hourly(plan),
      totalPrice: plan.price.totalAtMost,
      flags: planned.flags,
      losses: describeLosses(planned, action, present),
      warnings: warningsOf(planned),
    },
    nameToType: action === 'replace' ? name : undefined,
  };
}

const nameOf = ({ plan, head }: ApplyPlan): string =>
  `${head.type} ${plan.name ?? head.name ?? '(a name is made by dstack)'}`;

/** Where it would run: the offers of a plan, or what the file of a volume or gateway says. */
function placesOf({ plan, head: { type, value } }: ApplyPlan): readonly Location[] {
  if (type !== 'volume' && type !== 'gateway') return plan.offers;
  const { backend, region } = value;
  return [{ backend: String(backend), region: typeof region === 'string' ? region : undefined }];
}

function warningsOf({ plan: { warnings, price }, environment }: ApplyPlan): string[] {
  const more = price.isWhole
    ? []
    : ['dstack shows the offers of the first group only: the others cost more on top, and how much is not known'];
  const { given } = environment;
  return [
    ...warnings.map((warning) => warning.message),
    ...more,
    ...(given.length === 0 ? [] : [`the run is given the values of ${given.join(', ')}`]),
  ];
}

/** Dollars an hour for everything that the plan may hold at once, at the offer that would be taken. */
const hourly = ({ price }: PlanFacts): number | undefined =>
  price.isWhole ? (price.perHourAll ?? price.perHourAtStart ?? price.perHour) : undefined;

function describeAction(planned: ApplyPlan, action: PossibleAction): string {
  const verbs = { create: 'Create', update: 'Update in place', replace: 'Stop and replace' } as const;
  return `${verbs[action]} ${nameOf(planned)} from ${planned.file.relativePath}`;
}

function describeLosses(planned: ApplyPlan, action: PossibleAction, present: FoundResource | undefined): string[] {
  if (action !== 'replace') return [];
  const status = present?.status === undefined ? '' : `, now ${present.status}`;
  const data = planned.head.type === 'volume' ? '; the data on it is lost' : '';
  return [`${nameOf(planned)}${status}: it is stopped or deleted first, and made anew${data}`];
}

function summarizePlan(planned: ApplyPlan, action: PossibleAction): string {
  const { price } = planned.plan;
  const perHour = hourly(planned.plan);
  const total = price.totalAtMost === undefined ? '' : `, at most $${price.totalAtMost} in total`;
  const money = perHour === undefined ? '' : `, ${formatPrice(perHour)}${total}`;
  const changes = planned.plan.changes.length === 0 ? '' : ` (changes: ${planned.plan.changes.join(', ')})`;
  return `${describeAction(planned, action)}${changes}${money}. Nothing was changed yet.`;
}

function planFacts(planned: ApplyPlan): Partial<ChangeFacts> {
  const { plan, head, project } = planned;
  const { perHourMin, perHourMax, totalAtMost } = plan.price;
  const pricePerHour = hourly(plan);
  return {
    operation: plan.action,
    resource: { kind: head.type, name: plan.name ?? head.name },
    project,
    ...(pricePerHour === undefined ? {} : { pricePerHour }),
    ...(perHourMin === undefined || perHourMax === undefined ? {} : { priceRange: [perHourMin, perHourMax] }),
    ...(totalAtMost === undefined ? {} : { totalPrice: totalAtMost }),
    offers: plan.offers.slice(0, 20).map(({ backend, region, gpu, pricePerHour: price, availability }) => ({
      backend,
      region,
      gpu,
      pricePerHour: price,
      availability,
    })),
    changes: [...plan.changes],
    blockers: [...plan.blockers],
    warnings: warningsOf(planned),
  };
}
