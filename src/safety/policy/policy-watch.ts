import { messageOf, ToolError } from '../../core/errors.ts';
import { formatPrice } from '../../core/values.ts';
import type { Effect } from '../../core/report.ts';
import {
  accessTerms,
  assertNotForbidden,
  assertUseAllowed,
  assertBackendsAllowed,
  assertResourceAllowed,
  lower,
  matchesPlace,
  readOnlyRefusal,
  resolveRule,
  ruleOn,
} from './policy-rules.ts';
import type { AccessTerms, Caps, Location, WantedAccess, WantedResource } from './policy-rules.ts';
import type { Binding, Operation } from '../../core/change.ts';
import { parsePolicy, PolicyBroken, readPolicyText, combineRequirements, strictest } from './policy.ts';
import type { Policy, Requirement } from './policy.ts';

/** The part of a change that decides on the approval it needs. */
export interface RequiredFor {
  readonly operation: Operation;
  readonly binding: Pick<Binding, 'mostPerHour'>;
  readonly reachesServer?: boolean | undefined;
}

/** The policy as one reading of its file found it: one for each plan, so that all parts of a plan follow the same rules. */
export interface PolicySnapshot {
  /** @throws ToolError `policy` for a type, project, operation or protected name. */
  assertResourceAllowed(resource: WantedResource): void;
  /** @throws ToolError `policy` for a backend or region that isn't allowed, or for none while a list is set. */
  assertBackendsAllowed(locations: readonly Location[]): void;
  /** Returns which limit excludes an offer, for a reader; undefined if none does. */
  readonly exclusionOf: (offer: Location & { readonly pricePerHour: number }) => string | undefined;
  requirementFor(change: RequiredFor): Requirement;
  readonly caps: Caps;
  /** Lists that are also passed to dstack, so that it narrows its own choice. */
  readonly limits: { readonly [list in 'backends' | 'regions']: readonly string[] | undefined };
  readonly allowedFlags: readonly string[];
  /** Lists of what planning may send or contact, and what never. */
  readonly handOver: NonNullable<Policy['hand_over']>;
  /** @throws ToolError `read-only`, or `policy` for a command, an upload or a request that isn't allowed. */
  assertUseAllowed(use: WantedAccess): void;
  /** @throws ToolError `policy` if files of this run may not be downloaded. That needs no consent, except from places with secrets. */
  assertDownloadAllowed(run: { readonly name: string; readonly project: string }): void;
  /**
   * Returns what a consent to use a run permits, or (`token`) one to send the user's token to its program. A read-only server can't ask
   * for one, so there the policy has to allow it.
   * @throws ToolError `read-only` or `policy` if that isn't allowed
   */
  access(wanted?: Pick<WantedAccess, 'token'>): AccessTerms;
  /** Whether requests may be sent to services of a gateway with this domain. */
  isGateway(domain: string): boolean;
  /** Whether nothing may be changed. */
  readonly readOnly: boolean;
}

/**
 * The operator's policy. An edit of the file takes effect with the next snapshot. While the file isn't valid, everything but `state`
 * and calls of tools that only read throws `policy-broken`.
 */
export interface PolicyWatch {
  /** Reads the file once, for all questions about one plan. @throws ToolError `policy-broken` */
  snapshot(): PolicySnapshot;
  /** Returns the requirement by the current file: it may have been edited since the plan. */
  requirementFor(change: RequiredFor): Requirement;
  /**
   * @throws ToolError `read-only` for a tool that changes something, even if the client got it from an older list. What a tool that also
   * reads may do is decided when it does it.
   */
  assertToolAllowed(tool: { readonly name: string; readonly effect: Effect; readonly alsoReads?: boolean }): void;
  /** Size at which the audit log starts a new file, and how many full ones it keeps. Read at startup. */
  auditLimits(): { readonly maxBytes: number | undefined; readonly keepFiles: number | undefined };
  /** Returns the state for doctor. Never throws. */
  state(): PolicyState;
}

export type PolicyState =
  | { readonly kind: 'none' }
  | { readonly kind: 'in-force'; readonly file: string; readonly policy: Policy }
  | { readonly kind: 'broken'; readonly file: string; readonly why: string };

export interface PolicyWatchOptions {
  readonly policy: string | undefined;
  readonly readOnly: boolean;
  readonly confirm: 'ask' | 'person' | 'token';
  readonly maxPrice: number | undefined;
}

/**
 * Starts watching the policy.
 * @throws ToolError `policy-broken` if the file can't be read or isn't valid: the server must not start then.
 */
export function createPolicyWatch(settings: PolicyWatchOptions): PolicyWatch {
  const read = createReader(settings.policy);
  try {
    read();
  } catch (error) {
    throw error instanceof PolicyBroken ? cannotStart(error, settings.policy) : error;
  }
  const snapshot = (): PolicySnapshot => createSnapshot(read(), settings);
  return {
    snapshot,
    requirementFor: (change) => snapshot().requirementFor(change),
    assertToolAllowed(tool) {
      if (tool.effect === 'read') return;
      // The file is read even if the setting alone refuses: a broken policy is reported as broken.
      const readOnly = read().read_only === true;
      if ((readOnly || settings.readOnly) && tool.alsoReads !== true) throw readOnlyRefusal(tool.name);
    },
    auditLimits() {
      const { max_megabytes: megabytes, keep_files: keepFiles } = read().audit ?? {};
      return { maxBytes: megabytes === undefined ? undefined : megabytes * 1_000_000, keepFiles };
    },
    state() {
      if (settings.policy === undefined) return { kind: 'none' };
      try {
        return { kind: 'in-force', file: settings.policy, policy: read() };
      } catch (error) {
        return { kind: 'broken', file: settings.policy, why: messageOf(error) };
      }
    },
  };
}

const cannotStart = (cause: PolicyBroken, file: string | undefined): ToolError =>
  new ToolError(
    'policy-broken',
    `The policy file ${file} can't be used, so the server doesn't start: ${cause.why}.`,
    'Fix the file, or the setting that names it (DSTACK_MCP_POLICY, --policy), then start the server again.',
    { cause },
  );

function createSnapshot(policy: Policy, settings: PolicyWatchOptions): PolicySnapshot {
  const maxPrice = lower(settings.maxPrice, policy.max_price);
  const readOnly = policy.read_only === true || settings.readOnly;
  const requirementFor = (change: RequiredFor): Requirement => {
    const rule = resolveRule(policy.consent?.[change.operation], change.binding.mostPerHour);
    const required = combineRequirements(settings.confirm, rule);
    return change.reachesServer === true ? strictest(required, policy.consent?.server_access ?? 'person') : required;
  };
  const isReadOnlyFor = ({ token }: Pick<WantedAccess, 'token'>): boolean => {
    const change = { operation: 'access', reachesServer: true, binding: { mostPerHour: null } } as const;
    return readOnly && !(token === true && requirementFor(change) === 'allow');
  };
  return {
    assertResourceAllowed: (resource) => assertResourceAllowed(policy, resource),
    assertBackendsAllowed: (locations) => assertBackendsAllowed(policy, locations),
    exclusionOf: ({ backend, region, pricePerHour }) => {
      if (policy.backends !== undefined && !matchesPlace('backends', backend, policy.backends))
        return `this server's policy allows only the backends ${policy.backends.join(', ')}`;
      if (policy.regions !== undefined && !matchesPlace('regions', region ?? '', policy.regions))
        return `this server's policy allows only the regions ${policy.regions.join(', ')}`;
      const isDear = maxPrice !== undefined && pricePerHour > maxPrice;
      return isDear ? `this server's price cap is ${formatPrice(maxPrice)}` : undefined;
    },
    requirementFor,
    caps: { maxPrice, maxTotal: policy.max_total, maxActive: policy.max_active },
    limits: { backends: policy.backends, regions: policy.regions },
    allowedFlags: policy.flags ?? [],
    handOver: policy.hand_over ?? {},
    assertUseAllowed: (use) => assertUseAllowed(policy, isReadOnlyFor(use), use),
    assertDownloadAllowed(run) {
      assertResourceAllowed(policy, { kind: 'run', operation: 'access', ...run });
      assertNotForbidden(policy);
    },
    isGateway: (domain) => ruleOn(domain, { allow: policy.access?.gateways }) === 'allowed',
    access: (wanted = {}) => accessTerms(policy, isReadOnlyFor(wanted)),
    readOnly,
  };
}

/** Reads the file on every call, and parses it again only if its text has changed: a time stamp can be forged, a text can't. */
function createReader(file: string | undefined): () => Policy {
  if (file === undefined) return () => ({});
  let known: { readonly text: string; readonly policy: Policy } | undefined;
  return () => {
    const text = readPolicyText(file);
    if (known?.text !== text) known = { text, policy: parsePolicy(text, file) };
    return known.policy;
  };
}
