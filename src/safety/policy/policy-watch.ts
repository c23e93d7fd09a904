import type { Effect } from '../../core/report.ts';
import type { Caps } from './price-caps.ts';
import type { PendingChange } from '../../core/change.ts';
import { assertBackendsAllowed, assertResourceAllowed, lower, readOnlyRefusal, resolveRule } from './policy-rules.ts';
import type { Location, WantedResource } from './policy-rules.ts';
import { parsePolicy, readPolicyText } from './policy.ts';
import type { Policy } from './policy.ts';
import { combineRequirements } from './requirement.ts';
import type { Requirement } from './requirement.ts';

/**
 * What the operator allows. The file is read again for every question about a change, so an edit holds at once; while it isn't valid,
 * every one of these throws `policy-broken`, except for tools that only read.
 */
export interface PolicyWatch {
  /** @throws ToolError `read-only` for a tool that changes something, whether or not it was in the list. */
  assertToolAllowed(tool: { readonly name: string; readonly effect: Effect }): void;
  /** @throws ToolError `policy` for a type, project, operation or protected name. */
  assertResourceAllowed(resource: WantedResource): void;
  /** @throws ToolError `policy` for a backend or region that isn't allowed, or that isn't known while a list is set. */
  assertBackendsAllowed(places: readonly Location[]): void;
  requirementFor(change: PendingChange): Requirement;
  caps(): Caps;
  /** What is handed to dstack as well, so that it narrows its own choice. */
  limits(): { readonly backends: readonly string[] | undefined; readonly regions: readonly string[] | undefined };
  allowedFlags(): readonly string[];
  /** Taken at start: where the audit log begins a new file, and how many full ones it keeps. */
  auditLimits(): { readonly maxBytes: number | undefined; readonly keepFiles: number | undefined };
  /** The state for doctor. Never throws. */
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
 * Starts watching the policy; takes the settings as they are.
 * @throws ToolError `policy-broken` when the file can't be read or isn't valid: the server must not start then.
 */
export function createPolicyWatch(settings: PolicyWatchOptions): PolicyWatch {
  const current = createReader(settings.policy);
  current();
  return {
    assertToolAllowed(tool) {
      if (tool.effect === 'read') return;
      // Read before the setting is looked at: a broken policy is told as such.
      const readOnly = current().read_only === true;
      if (readOnly || settings.readOnly) throw readOnlyRefusal(tool.name);
    },
    assertResourceAllowed: (resource) => assertResourceAllowed(current(), resource),
    assertBackendsAllowed: (places) => assertBackendsAllowed(current(), places),
    requirementFor(change) {
      const rule = current().consent?.[change.operation];
      return combineRequirements(settings.confirm, resolveRule(rule, change.binding.pricePerHour));
    },
    caps() {
      const { max_price, max_total, max_active } = current();
      return { maxPrice: lower(settings.maxPrice, max_price), maxTotal: max_total, maxActive: max_active };
    },
    limits: () => ({ backends: current().backends, regions: current().regions }),
    allowedFlags: () => current().flags ?? [],
    auditLimits() {
      const { max_megabytes: megabytes, keep_files: keepFiles } = current().audit ?? {};
      return { maxBytes: megabytes === undefined ? undefined : megabytes * 1_000_000, keepFiles };
    },
    state() {
      if (settings.policy === undefined) return { kind: 'none' };
      try {
        return { kind: 'in-force', file: settings.policy, policy: current() };
      } catch (error) {
        return { kind: 'broken', file: settings.policy, why: error instanceof Error ? error.message : String(error) };
      }
    },
  };
}

/** Reads the file each time, and parses it when its text has changed: a time stamp can be kept, a text can't. */
function createReader(file: string | undefined): () => Policy {
  if (file === undefined) return () => ({});
  let known: { readonly text: string; readonly policy: Policy } | undefined;
  return () => {
    const text = readPolicyText(file);
    if (known?.text !== text) known = { text, policy: parsePolicy(text, file) };
    return known.policy;
  };
}
