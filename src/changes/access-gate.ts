import { isDeepStrictEqual } from 'node:util';
import type { WaitingCall } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import type { Report } from '../core/report.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import { UseJournal } from '../safety/audit/use-journal.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import type { Grant, GrantedRun, GrantedUse, Grants } from '../safety/consent/remembered-consents.ts';
import type { WantedAccess, WantedResource } from '../safety/policy/policy-rules.ts';
import type { PolicySnapshot, PolicyWatch } from '../safety/policy/policy-watch.ts';
import { isEnough } from '../safety/policy/policy.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { ChangeService } from './change-service.ts';
import { runIsOver } from './plan-consents.ts';

/** One use of a run that needs the consent to use it. */
export interface WantedUse extends WantedAccess, WantedRun {}

/** The run that is to be used. */
export interface WantedRun {
  readonly run: Pick<RunFacts, 'name' | 'status' | 'isFinished' | 'deployment'>;
  readonly runId: string;
  /** The project's name, and the URL of its server, as `endpoint` returns them. */
  readonly project: string;
  readonly server: string;
}

/** The answer to a wanted use. */
export type Access =
  | { readonly kind: 'granted'; readonly grant: Grant }
  /** The preview of the consent with its token: the result of the call. */
  | { readonly kind: 'needs-consent'; readonly report: Report<ChangeFacts> };

export interface AccessSources {
  readonly policy: Pick<PolicyWatch, 'snapshot'>;
  readonly grants: Grants;
  readonly audit: AuditSink;
  readonly dstack: Pick<DstackClient, 'endpoint'>;
  readonly changes: Pick<ChangeService, 'preview' | 'redeemIfAllowed'>;
  /** The call that uses the run, if `apply` can make it after the approval. */
  readonly call?: WaitingCall | undefined;
}

const MINUTE_MS = 60_000;
/** A consent to one use is used at once. */
const ONE_USE_MINUTES = 10;

/** Decides whether a run may be used, for each command and each upload. Only an approved token makes a grant. */
export class AccessGate {
  /** Records each use, before and after. */
  readonly journal: UseJournal;
  readonly #sources: AccessSources;

  constructor(sources: AccessSources) {
    this.#sources = sources;
    this.journal = new UseJournal(sources.audit);
  }

  /**
   * Returns the permission to use a run like this, or the report to return instead. `claim` has to follow, right before the use. A
   * question for every use names this one in the words of `wants`.
   * @throws ToolError `read-only` or `policy`; CommandFailed if the run has ended
   */
  async require(wanted: WantedUse, wants = wanted.text): Promise<Access> {
    const policy = this.#sources.policy.snapshot();
    const use = grantedUse(policy, wanted);
    policy.assertResourceAllowed(resourceOf(wanted));
    const { run, project } = wanted;
    if (run.isFinished)
      throw new CommandFailed({ outcome: 'blocked', ...runIsOver(run), printed: [], facts: { code: 'finished' } });
    const most = 60 * policy.access(use).hours;
    const minutes = use.use === undefined ? most : Math.min(most, ONE_USE_MINUTES);
    const find = (): Promise<Grant | undefined> => this.#find(policy, placeOf(wanted), use);
    const grant = await find();
    if (grant !== undefined) return { kind: 'granted', grant };
    const until = new Date(Math.floor(Date.now() / MINUTE_MS + minutes) * MINUTE_MS).toISOString();
    const { call } = this.#sources;
    const waiting = call === undefined ? {} : { call, wants };
    const request = { tool: 'access', run: run.name, project, until, ...use, ...waiting } as const;
    const report = await this.#sources.changes.preview(request);
    const { token } = report.facts;
    // Where the policy wants no approval, the token is redeemed right away, on the same path as any other.
    const isApproved = token !== undefined && (await this.#sources.changes.redeemIfAllowed(token));
    const approved = isApproved ? await find() : undefined;
    return approved === undefined ? { kind: 'needs-consent', report } : { kind: 'granted', grant: approved };
  }

  /**
   * Returns the permission again: since `require`, it may have been revoked, and the policy edited. Spends a grant for one use; `spent` is
   * one that this use has spent before.
   * @throws ToolError as `require` does, and `consent-missing`
   */
  async claim(wanted: WantedUse, spent?: Grant): Promise<Grant> {
    const policy = this.#sources.policy.snapshot();
    const use = grantedUse(policy, wanted);
    policy.assertResourceAllowed(resourceOf(wanted));
    if (spent?.use !== undefined) return spent;
    const grant = await this.#find(policy, placeOf(wanted), use);
    if (grant === undefined || (use.use !== undefined && !(await this.#sources.grants.end(grant))))
      throw consentEnded();
    return grant;
  }

  /**
   * Checks that the policy allows using a run. Without a consent, this allows only seeing and ending what was started with one.
   * @throws ToolError `read-only` or `policy`
   */
  assertAllowed({ run, project }: { readonly run: string; readonly project: string }): void {
    const policy = this.#sources.policy.snapshot();
    policy.access();
    policy.assertResourceAllowed({ kind: 'run', name: run, project, operation: 'access' });
  }

  /** Ends the consent to use a run, in every server with the same state folder. Commands that are already running continue. */
  async revoke(wanted: { readonly run: string; readonly project?: string | undefined }): Promise<number> {
    const { project, server } = await this.#sources.dstack.endpoint(wanted.project);
    const ended = await this.#sources.grants.revoke({ server, project, run: wanted.run });
    if (ended > 0) this.journal.revoked({ run: wanted.run, project, server });
    return ended;
  }

  /** The policy may want a stronger approval by now than the one that was given. */
  async #find(policy: PolicySnapshot, place: GrantedRun, wanted: GrantedUse): Promise<Grant | undefined> {
    const { grants } = this.#sources;
    const grant = await grants.find(place, wanted);
    if (grant === undefined || !isEnough(grant.level, requirement(policy, grant.reachesServer))) return undefined;
    // A person who allowed some commands allowed no others, whatever the policy says by now.
    if (!isDeepStrictEqual(grant.commands, policy.access(wanted).commands)) return undefined;
    return grant;
  }
}

const resourceOf = ({ run, project }: WantedRun): WantedResource => ({
  kind: 'run',
  name: run.name,
  project,
  operation: 'access',
});

const placeOf = ({ run, runId, project, server }: WantedRun): GrantedRun => ({
  server,
  project,
  run: run.name,
  runId,
  deployment: run.deployment ?? 0,
});

/** Checks this use, and returns what has to be granted for it. */
function grantedUse(
  policy: PolicySnapshot,
  { run: _run, runId: _id, project: _project, server: _server, token, ...use }: WantedUse,
): GrantedUse {
  const carried = token === undefined ? {} : { token };
  policy.assertUseAllowed({ ...use, ...carried });
  return { ...carried, ...(policy.access(carried).eachTime ? { use } : {}) };
}

const consentEnded = (): ToolError =>
  new ToolError(
    'consent-missing',
    'The consent to use this run ended while it was connected to, or another call used it. Nothing was run.',
    'Make the same call again: it asks for a new consent.',
  );

const requirement = (policy: PolicySnapshot, reachesServer: boolean): ReturnType<PolicySnapshot['requirementFor']> =>
  policy.requirementFor({ operation: 'access', reachesServer, binding: { mostPerHour: null } });
