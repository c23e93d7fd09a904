import type { EnvFiles } from '../configuration/env-files.ts';
import type {
  Binding,
  ConsentSummary,
  KnownPart,
  OneChange,
  Operation,
  PendingChange,
  PendingPart,
  WaitingCall,
} from '../core/change.ts';
import { describeCost } from '../core/values.ts';
import type { Cost } from '../core/values.ts';
import type { ChangeCard, Outcome, PlanTerms, Report } from '../core/report.ts';
import type { Transcript } from '../core/transcript.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { DstackClient, ReadOptions } from '../dstack/client/dstack-client.ts';
import type { KnownResource, ResourceKind } from '../dstack/client/find-resource.ts';
import type { ExpectedChange, HeldCommand, RunOptions } from '../dstack/run/runner.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import type { Prompt } from '../safety/consent/approval.ts';
import { cleanSummary, nameToType } from '../safety/consent/consent-wording.ts';
import type { Minted } from '../safety/consent/gate.ts';
import type { Agreements, GrantTerms, Grants, ServerDisclosures } from '../safety/consent/remembered-consents.ts';
import type { Workspace } from '../safety/files/workspace.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';
import type { ChangeFacts } from './change-facts.ts';
import { bindRequests } from './expected-requests.ts';

/** The inputs of one plan: a client, the current policy, and the files. */
export interface PlanScope {
  readonly dstack: DstackClient;
  readonly policy: PolicySnapshot;
  readonly workspace: Pick<Workspace, 'folders' | 'readConfiguration' | 'hashProfiles' | 'readProfiles'>;
  readonly envFiles: EnvFiles;
  readonly agreements: Agreements;
  readonly grants: Grants;
  readonly audit: AuditSink;
  readonly filters: { readonly redact: (text: string) => string };
  /** Most bytes of files that one plan may send. */
  readonly maxUploadBytes: number;
}

/** A change that was judged by what is on this computer; dstack wasn't asked about it yet. */
export interface PreparedChange {
  readonly kind: 'prepared';
  /** The part that is known by now. */
  readonly known: KnownPart;
  /** The command that makes it. */
  readonly command: ChangeCommand;
  /** Records what its command sends on its way to the change. @throws ToolError `audit-unavailable`: it isn't run then */
  recordSent(): Promise<void>;
  /** Plans it by commands that only read. */
  plan(): Promise<PlannedChange>;
  /** Plans it from what its own command has printed and looked up, right before its first change. */
  planHeld(held: HeldCommand): Promise<PlannedChange>;
  /** Returns why its command ended without any change. */
  explainEnd(transcript: Transcript): Promise<Error>;
}

/** A command that changes something. */
export interface ChangeCommand {
  readonly argv: CheckedArgv<'change'>;
  readonly options: Pick<RunOptions, 'cwd' | 'env' | 'pinnedFile'> &
    Pick<ReadOptions, 'credentials' | 'archives' | 'chosenName'>;
  readonly project: string | undefined;
}

/** Several changes that one consent covers. */
export interface SeveralPlan extends Plan {
  readonly kind: 'several';
  readonly pending: PendingChange;
}

/** The result of planning a change. */
export type PlannedChange = ReadyChange | AgreementPlan | AccessPlan | SettledPlan;

interface Plan {
  /** dstack's output about it. */
  readonly printed: readonly Transcript[];
  readonly summary: string;
  /** Labeled lines with what dstack's output doesn't say. */
  readonly details?: readonly string[];
  readonly facts: Partial<ChangeFacts>;
  readonly next: string;
}

/** A change that can be made once there is consent. */
export interface ReadyChange extends Plan {
  readonly kind: 'ready';
  /** The change that needs the consent. */
  readonly pending: PendingPart;
  /** Verifies its result. */
  readonly execution: Execution;
  /** The cost of each offer, for the card. */
  readonly terms?: PlanTerms;
  /** The limits of its cost; absent for a change that costs nothing. */
  readonly cost?: Cost;
}

/** The consent that a plan needs before it may be made: it would send a credential, or contact another host. */
export interface AgreementPlan extends Plan {
  readonly kind: 'agreement';
  readonly pending: PendingChange;
  readonly disclosed: ServerDisclosures;
}

/** The consent to use a run. */
export interface AccessPlan extends Plan {
  readonly kind: 'access';
  readonly pending: PendingPart;
  readonly grant: GrantTerms;
  /** The call that waits for it. */
  readonly call: WaitingCall | undefined;
}

/** A plan with nothing to consent to. */
export interface SettledPlan extends Plan {
  readonly kind: 'settled';
  readonly outcome: 'nothing-to-do' | 'blocked' | 'unknown';
  /** Explains it at the price of several more commands: for a preview, not for a plan that is only compared. */
  readonly explain?: () => Promise<SettledPlan>;
}

/** The sign in a resource that a change took effect. */
export type Effect =
  /** `before` is the id of the finished run that had the name; null if there was none, undefined if that isn't known. */
  | { readonly kind: 'created'; readonly before?: string | null | undefined }
  | { readonly kind: 'updated'; readonly before: KnownResource | undefined }
  /** `before` is the id of what was replaced. */
  | { readonly kind: 'replaced'; readonly before: string | undefined }
  | { readonly kind: 'stopped'; readonly id: string }
  | { readonly kind: 'deleted'; readonly id: string; readonly instance?: number | undefined };

/** Verifies the result of a change. */
export interface Execution {
  /** The resource to look up afterwards; dstack may choose the name. */
  readonly resource: {
    readonly kind: ResourceKind;
    readonly name: string | undefined;
    readonly project: string | undefined;
  };
  readonly facts: Partial<ChangeFacts>;
  /** The next step once it is done. Defaults to what fits dstack's words. */
  readonly next?: string;
  /** The sign in the resource that the change took effect. */
  readonly effect: Effect;
  /** The change requests that dstack may send; undefined if they can't be judged, because dstack isn't a Python script. */
  readonly requests: readonly ExpectedChange[] | undefined;
  /** The profile files that dstack read, to see whether they changed while it did. */
  readonly profiles?: { readonly folder: string; readonly hashes: Readonly<Record<string, string>> };
}

/** Everything that consent to a change is bound to, and what the person is shown. */
interface ChangeToBind {
  readonly request: OneChange;
  readonly operation: Operation;
  readonly known: KnownPart;
  readonly resource: Binding['resource'];
  readonly requests: readonly ExpectedChange[] | undefined;
  /** The id of the existing resource; null if there is none. */
  readonly present: string | null;
  readonly affected?: readonly string[];
  /** Absent for a change that costs nothing. */
  readonly cost?: Cost;
  readonly shown: Pick<ConsentSummary, 'action' | 'machine' | 'losses' | 'warnings' | 'flags' | 'access' | 'sends'>;
  /** Whether it starts something that can reach the dstack server. */
  readonly reachesServer?: boolean;
}

/** Binds a change: the one place that decides what a token stands for. */
export function bindChange(change: ChangeToBind): PendingPart {
  const { request, operation, known, resource, present, affected = [], cost, shown } = change;
  const { project, server } = known.binding;
  return {
    request,
    operation,
    argv: known.argv,
    ...(change.reachesServer === true ? { reachesServer: true } : {}),
    binding: {
      ...known.binding,
      tool: request.tool,
      resource,
      present,
      affected,
      pricePerHour: cost?.pricePerHour ?? null,
      mostPerHour: typeof cost?.mostPerHour === 'number' ? cost.mostPerHour : null,
      requests: bindRequests(change.requests),
    },
    summary: {
      ...shown,
      resource,
      project,
      server,
      ...(cost === undefined
        ? {}
        : { price: describeCost(cost), pricePerHour: cost.pricePerHour, totalPrice: cost.mostInTotal }),
    },
  };
}

/** Reports a plan. */
export function reportPlan(planned: PlannedChange | SeveralPlan): Report<ChangeFacts> {
  return {
    outcome: outcomeOf(planned),
    summary: planned.summary,
    details: describePlan(planned),
    printed: planned.printed.map((transcript) => ({ transcript })),
    facts: planned.facts,
    next: planned.next,
  };
}

function outcomeOf(planned: PlannedChange | SeveralPlan): Outcome {
  if (planned.kind === 'settled') return planned.outcome;
  // The call was for a plan, a command, a copy or a request, not for this question.
  return planned.kind === 'access' || planned.kind === 'agreement' ? 'waiting' : 'done';
}

/** Returns what dstack's output doesn't say. The place is in a plan's own table, which a removal doesn't have. */
function describePlan({
  printed,
  details = [],
  facts: { project, warnings = [] },
}: PlannedChange | SeveralPlan): string[] {
  const place = printed.length > 0 || project === undefined ? [] : [`project: ${project}`];
  return [...place, ...details, ...warnings.map((warning) => `warning: ${warning}`)];
}

/** Reports a plan with the token for its change, and with a card if there is a nonce for its buttons. */
export function reportPreview(
  planned: ReadyChange | AgreementPlan | AccessPlan | SeveralPlan,
  { token, nonce, expiresAt }: Minted,
  { asks, redact }: { readonly asks: Prompt | undefined; readonly redact: (text: string) => string },
): Report<ChangeFacts> {
  const next = [planned.next, describeApproval(asks), ...describeAfterwards(planned)].join(' ');
  const report = { ...reportPlan(planned), facts: { ...planned.facts, token, expiresAt }, next };
  if (nonce === undefined) return report;
  const { pending } = planned;
  const name = nameToType(pending);
  const card: ChangeCard = {
    view: 'change',
    nonce,
    expiresAt,
    now: new Date().toISOString(),
    operation: pending.operation,
    summary: cleanSummary(pending.summary, redact),
    ...(name === undefined ? {} : { nameToType: name }),
    ...(planned.kind === 'ready' ? planned.terms : {}),
  };
  return { ...report, card };
}

/** The first step after a preview without output of dstack. */
export const SHOW = 'Show this to the user.';

/** Says what follows an approval that alone makes no change. */
function describeAfterwards(planned: ReadyChange | AgreementPlan | AccessPlan | SeveralPlan): string[] {
  if (planned.kind === 'agreement') return ['Then call plan again.'];
  if (planned.kind !== 'access') return [];
  return [planned.call === undefined ? 'Then make this call again.' : 'apply then makes this call, too.'];
}

/** Says when the model may go on, and who asks the user whatever they said before. */
const describeApproval = (asks: Prompt | undefined): string =>
  `Call apply with the token once they approve, or right away if they asked for this themselves and it is within the limits that they named${
    asks === undefined ? '' : `; ${ASKED_BY[asks]}`
  }.`;

const ASKED_BY = {
  card: 'if they see a card with Approve and Decline, their click decides',
  form: 'the client asks them in any case',
  dialog: 'a dialog on their desktop asks them in any case',
} as const satisfies Record<Prompt, string>;
