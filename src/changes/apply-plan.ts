import type { NamedEnvironment } from '../configuration/env-files.ts';
import { describeAccess } from '../configuration/hand-over.ts';
import type { JudgedHandOver } from '../configuration/judge-hand-over.ts';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import type { ApplyRequest } from '../core/change.ts';
import { describeCost, formatDuration, isRecord } from '../core/values.ts';
import type { Cost } from '../core/values.ts';
import type { PlanTerms } from '../core/report.ts';
import type { Transcript } from '../core/transcript.ts';
import type { CommandRequest } from '../dstack/argv/command.ts';
import { kindOf } from '../dstack/client/find-resource.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import type { Endpoint } from '../dstack/client/read-dstack-config.ts';
import type { PlanFacts } from '../dstack/output/read-plan.ts';
import { cleanLine } from '../render/untrusted.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import type { Location } from '../safety/policy/policy-rules.ts';
import type { ChangeFacts } from './change-facts.ts';

/** A plan that dstack may be asked for: everything that was judged before it is started. */
export interface PreparedPlan {
  readonly request: ApplyRequest;
  readonly file: ConfigurationFile;
  readonly head: ConfigurationHead;
  readonly endpoint: Endpoint;
  readonly cliVersion: string;
  /** The command that this CLI would need to stop or delete what is created; undefined if it has it. */
  readonly missingLookUp: string | undefined;
  readonly environment: NamedEnvironment;
  readonly handOver: JudgedHandOver;
  /** The command that plans. */
  readonly command: CommandRequest;
  /** The flags in addition to the file, with their values and what dstack documents about them. */
  readonly flags: readonly string[];
}

/** A plan with the request and the file that it was made from. */
export interface ApplyPlan extends Omit<PreparedPlan, 'command'> {
  /** The output and the requests of dstack. */
  readonly transcript: Omit<Transcript, 'exit'>;
  readonly plan: PlanFacts;
  /** SHA-256 of the profile files right before dstack read them. */
  readonly profiles: Readonly<Record<string, string>>;
  /** The texts of the profile files that exist. */
  readonly profileTexts: readonly string[];
}

/** The possible effects of applying a plan. */
export type ApplyAction = 'create' | 'update' | 'replace';

/** Returns how a person knows the resource, as in `task train-1`. */
export const nameOf = ({ plan, head }: ApplyPlan): string =>
  `${head.type} ${plan.name ?? head.name ?? '(dstack chooses a name)'}`;

/** Returns where it would run: the offers of a plan, or the backend and region that a volume or gateway names. */
export function locationsOf({ plan, head: { type, value } }: ApplyPlan): readonly Location[] {
  if (type !== 'volume' && type !== 'gateway') return plan.offers;
  const { backend, region } = value;
  return [{ backend: String(backend), region: typeof region === 'string' ? region : undefined }];
}

/** Returns the warnings that the person sees. */
export function warningsOf({ request, head, environment: { given }, handOver, ...planned }: ApplyPlan): string[] {
  const { missingLookUp, cliVersion } = planned;
  const { warnings, price } = planned.plan;
  return [
    ...(given.length === 0 ? [] : [`the run gets the values of ${given.join(', ')}`]),
    ...handOver.warnings,
    ...describeReplaced(head.value, request.extraFlags),
    ...warnings.map((warning) => cleanLine(warning.message)),
    ...(price.isWhole
      ? []
      : ['dstack shows the offers of the first group only: the other groups cost extra, and how much is not known']),
    ...(missingLookUp === undefined
      ? []
      : [
          `this server can't ${kindOf(head.type) === 'run' ? 'stop' : 'delete'} it again: dstack ${cliVersion} doesn't document \`${missingLookUp}\`; in a terminal, dstack itself can`,
        ]),
  ];
}

/** Describes what applying the plan does, in one sentence without its end. */
export function describeAction(planned: ApplyPlan, action: ApplyAction): string {
  const verbs = { create: 'Create', update: 'Update in place', replace: 'Stop and replace' } as const;
  return `${verbs[action]} ${nameOf(planned)} from ${planned.file.relativePath}`;
}

/** Describes the machine of the first offer, which dstack tries first: `RTX4090:24GB:1 on runpod in EU-RO-1, for at most 2h 10m`. */
export function describeMachine({ plan: { offers } }: ApplyPlan, { hours }: Cost): string | undefined {
  const [first] = offers;
  if (first === undefined) return undefined;
  const { gpu, instanceType, backend, region, spot } = first;
  return [
    `${gpu ?? instanceType} on ${backend}`,
    ...(region === undefined ? [] : [` in ${region}`]),
    ...(spot ? [', spot'] : []),
    ...(offers.length === 1 ? [] : [', the first of several offers']),
    ...(hours === undefined ? [] : [`, for at most ${formatDuration(hours * 3_600_000)}`]),
  ].join('');
}

/** Describes what is stopped or lost by it. */
export function describeApplyLosses(
  planned: ApplyPlan,
  action: ApplyAction,
  present: KnownResource | undefined,
): string[] {
  if (action !== 'replace') return [];
  const status = present?.status === undefined ? '' : `, now ${present.status}`;
  const data = planned.head.type === 'volume' ? '; the data on it is lost' : '';
  return [`${nameOf(planned)}${status}: it is stopped or deleted first, and created again${data}`];
}

/** Summarizes the plan in one sentence. */
export function summarizePlan(
  planned: ApplyPlan,
  action: ApplyAction,
  { cost, effects }: { readonly cost: Cost; readonly effects: readonly string[] },
): string {
  const { plan } = planned;
  const changes = plan.changes.length === 0 ? '' : ` (changes: ${plan.changes.join(', ')})`;
  // A model may see the summary alone, and it must know that the run won't start right away.
  const waiting = action === 'create' ? plan.warnings.map(({ message }) => ` ${message.replace(/\.$/, '')}.`) : [];
  const lost = effects.map((effect) => ` ${effect.charAt(0).toUpperCase()}${effect.slice(1)}.`);
  return `${describeAction(planned, action)}${changes}, ${describeCost(cost)}.${lost.join('')}${waiting.join('')} Nothing was changed yet.`;
}

const MAX_LISTED_OFFERS = 20;

/** Returns the facts of the plan. */
export function planFacts(planned: ApplyPlan, cost: Cost): Partial<ChangeFacts> {
  const { request, plan, head, endpoint } = planned;
  const { perHourMin, perHourMax } = plan.price;
  return {
    operation: plan.action,
    resource: { kind: head.type, name: plan.name ?? head.name },
    project: endpoint.project,
    ...(cost.pricePerHour === undefined ? {} : { pricePerHour: cost.pricePerHour }),
    ...(typeof cost.mostPerHour === 'number' ? { mostPerHour: cost.mostPerHour } : {}),
    ...(perHourMin === undefined || perHourMax === undefined ? {} : { priceRange: [perHourMin, perHourMax] }),
    ...(typeof cost.mostInTotal === 'number' ? { totalPrice: cost.mostInTotal } : {}),
    offers: plan.offers.slice(0, MAX_LISTED_OFFERS).map(({ backend, region, gpu, pricePerHour, availability }) => ({
      backend,
      region,
      gpu,
      pricePerHour,
      availability,
    })),
    changes: [...plan.changes],
    blockers: [...plan.blockers],
    warnings: warningsOf(planned),
    access: [...describeAccess(head.value, request.extraFlags?.['--env']).says],
  };
}

/** More rows help nobody; the total is reported. */
const MAX_CARD_OFFERS = 500;

/** Returns what the plan would cost, offer by offer, for the card: for the same time as its total. */
export function planTerms({ offers, offersTotal, count }: PlanFacts, { hours }: Cost): PlanTerms {
  return {
    offers: offers.slice(0, MAX_CARD_OFFERS),
    offersTotal,
    ...(count === undefined ? {} : { machines: count }),
    ...(hours === undefined ? {} : { time: { hours, text: formatDuration(hours * 3_600_000) } }),
  };
}

/** The property that each flag of dstack replaces. */
const REPLACED: Readonly<Record<string, readonly string[]>> = {
  '--gpu': ['resources', 'gpu'],
  '--cpu': ['resources', 'cpu'],
  '--memory': ['resources', 'memory'],
  '--disk': ['resources', 'disk'],
  '--max-price': ['max_price'],
  '--max-duration': ['max_duration'],
  '--spot-policy': ['spot_policy'],
  '--spot': ['spot_policy'],
  '--on-demand': ['spot_policy'],
  '--spot-auto': ['spot_policy'],
  '--backend': ['backends'],
  '--region': ['regions'],
  '--instance-type': ['instance_types'],
  '--fleet': ['fleets'],
  '--idle-duration': ['idle_duration'],
  '--name': ['name'],
};

/** Says which properties of a file the flags replace, as in `--gpu 2 replaces resources.gpu: RTX4090`. */
export function describeReplaced(
  configuration: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, unknown>> = {},
): string[] {
  return Object.entries(flags).flatMap(([flag, value]) => {
    const path = Object.hasOwn(REPLACED, flag) ? (REPLACED[flag] ?? []) : [];
    const before = path.reduce<unknown>((part, name) => (isRecord(part) ? part[name] : undefined), configuration);
    if (path.length === 0 || before === undefined || before === null || value === false) return [];
    const shown = value === true ? '' : ` ${(Array.isArray(value) ? value : [value]).map(String).join(', ')}`;
    return [`${flag}${shown} replaces ${path.join('.')}: ${showValue(before)}`];
  });
}

const showValue = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : JSON.stringify(value).slice(0, 200);
