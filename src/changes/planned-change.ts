import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { DstackClient, ReadOptions } from '../dstack/client/dstack-client.ts';
import type { ResourceKind } from '../dstack/client/find-resource.ts';
import type { HeldCommand, RunOptions, ExpectedChange } from '../dstack/run/runner.ts';
import type { EnvFiles } from '../configuration/env-files.ts';
import type { PlanTerms } from '../core/report.ts';
import type { KnownPart, PendingChange, PendingPart, WaitingCall } from '../core/change.ts';
import type { Cost } from '../core/format-values.ts';
import type { Transcript } from '../core/transcript.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import type { Agreements, ServerDisclosures, Grants, GrantTerms } from '../safety/consent/remembered-consents.ts';
import type { Workspace } from '../safety/files/workspace.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Effect } from './judge-effect.ts';

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
