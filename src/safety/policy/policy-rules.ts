import type { AccessUse, Operation } from '../../core/change.ts';
import { ToolError } from '../../core/errors.ts';
import { formatDollars, formatPrice } from '../../core/values.ts';
import type { Limit } from '../../core/values.ts';
import { DEFAULT_ACCESS_HOURS } from './policy.ts';
import type { Policy, Requirement } from './policy.ts';

/** A resource to be changed. */
export interface WantedResource {
  /** A configuration type, or the kind of resource to stop or delete. */
  readonly kind: string;
  readonly name?: string | undefined;
  readonly project?: string | undefined;
  /** Absent while it isn't known yet: then only the rules for every operation are checked. */
  readonly operation?: Exclude<Operation, 'send'> | undefined;
}

/** A backend and region in which a run would start. */
export interface Location {
  readonly backend: string;
  readonly region?: string | undefined;
}

/** Checks that the policy allows changing this resource. @throws ToolError `policy` with the rule that forbids it. */
export function assertResourceAllowed(policy: Policy, { kind, name, project, operation }: WantedResource): void {
  const applies = operation === undefined || APPLIES.has(operation);
  if (applies && policy.types !== undefined && !(policy.types as readonly string[]).includes(kind)) {
    throw forbidden(`it allows ${policy.types.join(', ')}, not ${kind}`);
  }
  if (
    policy.projects !== undefined &&
    (project !== undefined || operation !== undefined) &&
    !matches(project, policy.projects)
  ) {
    throw forbidden(`it allows the projects ${policy.projects.join(', ')}, not ${project ?? 'an unknown one'}`);
  }
  if (operation === undefined) return;
  if (policy.operations !== undefined && !policy.operations.includes(operation))
    throw forbidden(`it does not allow the operation ${operation}`);
  if (policy.protected === undefined || operation === 'create') return;
  // An existing resource without a name can't be compared, so it counts as protected.
  if (name === undefined || matches(name, policy.protected))
    throw forbidden(`${name ?? `a ${kind} without a name`} is protected against ${operation}`);
}

const APPLIES: ReadonlySet<Operation> = new Set(['create', 'update', 'replace']);

/** Checks that the policy allows every location. @throws ToolError `policy` for one that isn't allowed, or if none is known. */
export function assertBackendsAllowed(policy: Policy, locations: readonly Location[]): void {
  const { backends, regions } = policy;
  if (backends === undefined && regions === undefined) return;
  if (locations.length === 0) throw forbidden('it limits backends or regions, and it is unknown where this would run');
  for (const { backend, region } of locations) {
    if (backends !== undefined && !matchesPlace('backends', backend, backends)) {
      throw forbidden(
        `it allows the backends ${backends.join(', ')}, not ${backend}`,
        `Narrow the choice to ${backends.join(', ')}`,
      );
    }
    if (regions !== undefined && !matches(region, regions)) {
      throw forbidden(
        `it allows the regions ${regions.join(', ')}, not ${region ?? 'an unknown one'}`,
        `Narrow the choice to ${regions.join(', ')}`,
      );
    }
  }
}

/** Returns the requirement of a rule for a change that costs at most this much per hour. An unknown or open limit is too high. */
export function resolveRule(
  rule: Requirement | { readonly allow_below: number; readonly otherwise: Requirement } | undefined,
  mostPerHour: number | null,
): Requirement | undefined {
  if (rule === undefined || typeof rule === 'string') return rule;
  return mostPerHour !== null && mostPerHour >= 0 && mostPerHour < rule.allow_below ? 'allow' : rule.otherwise;
}

/** Returns the lower of two optional limits. */
export function lower(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}

/** Creates the refusal of a read-only server. It is thrown at the call, since a client may know the tool from an older list. */
export const readOnlyRefusal = (tool: string): ToolError =>
  new ToolError(
    'read-only',
    `This server is read-only, so ${tool} is not available. Nothing was changed.`,
    'Tell the user that this server is read-only.',
  );

/** Whether the policy's patterns allow a backend or region. dstack prints `ssh` for the backend `remote`. */
export function matchesPlace(property: 'backends' | 'regions', name: string, patterns: readonly string[]): boolean {
  const isOwnMachine = property === 'backends' && (name === 'remote' || name === 'ssh');
  return (isOwnMachine ? ['remote', 'ssh'] : [name]).some((one) => matches(one, patterns));
}

/** Returns what lists of the policy say about a host or a variable. */
export function ruleOn(
  name: string,
  { allow, never }: { readonly allow?: readonly string[] | undefined; readonly never?: readonly string[] | undefined },
): 'allowed' | 'forbidden' | 'unlisted' {
  if (never !== undefined && matches(name, never)) return 'forbidden';
  return allow !== undefined && matches(name, allow) ? 'allowed' : 'unlisted';
}

/** Whether a text matches one of the patterns: exactly, or with `*` for any characters. Ignores case. */
function matches(text: string | undefined, patterns: readonly string[]): boolean {
  return text !== undefined && patterns.some((pattern) => wildcard(pattern.toLowerCase(), text.toLowerCase()));
}

/**
 * Whether a text is the one of a pattern, with a text that `fits` for each `*`. A text that could be split in several ways is split in the
 * first one. Not a regular expression: many stars in one pattern would take exponential time.
 */
function wildcard(pattern: string, text: string, fits: (part: string) => boolean = () => true): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0 || !fits(text.slice(at, found))) return false;
    at = found + piece.length;
  }
  const end = text.length - last.length;
  return end >= at && text.endsWith(last) && fits(text.slice(at, end));
}

/** Creates the refusal of a rule. */
const forbidden = (rule: string, next = 'Tell the user what the policy says'): ToolError =>
  new ToolError(
    'policy',
    `The operator's policy forbids this: ${rule}. Nothing was changed.`,
    `${next}; doctor shows the whole policy.`,
  );

/** A use of a run, and whether the program of the run gets the user's token with it. */
export interface WantedAccess extends AccessUse {
  readonly token?: true | undefined;
}

/** The policy's terms for a consent to use a run. */
export interface AccessTerms {
  /** Each use is asked for on its own. */
  readonly eachTime: boolean;
  readonly hours: number;
  /** The only commands; undefined if all are allowed. */
  readonly commands: readonly string[] | undefined;
}

/** Returns the terms of the policy for using runs. @throws ToolError `read-only` or `policy` if they may not be used */
export function accessTerms(policy: Policy, readOnly: boolean): AccessTerms {
  assertAccessAllowed(policy, readOnly, 'access to runs');
  const { each_time: eachTime = false, hours = DEFAULT_ACCESS_HOURS, commands } = policy.access ?? {};
  return { eachTime, hours, commands };
}

/** The tools for each use. */
const TOOLS = {
  exec: 'exec',
  upload: 'an upload by copy',
  download: 'a download from a place with secrets',
  request: 'a request that can start a replica',
} as const satisfies Record<AccessUse['what'], string>;

/** Checks that runs may be used at all. @throws ToolError `read-only`, or `policy` with the rule that forbids it */
function assertAccessAllowed({ access }: Policy, readOnly: boolean, tool: string): void {
  if (readOnly) throw readOnlyRefusal(tool);
  assertNotForbidden({ access });
}

/** Checks that runs may be used at all, even if only to read. @throws ToolError `policy` with the rule that forbids it */
export function assertNotForbidden({ access }: Pick<Policy, 'access'>): void {
  if (access?.never === true) throw forbidden('it allows no commands, no copies and no such requests');
}

/** Checks that runs may be used like this. @throws ToolError `read-only`, or `policy` with the rule that forbids it */
export function assertUseAllowed(policy: Policy, readOnly: boolean, { what, text, input, token }: WantedAccess): void {
  const tool = token === true ? "a request with the user's token" : TOOLS[what];
  assertAccessAllowed(policy, readOnly, tool);
  const commands = policy.access?.commands;
  if (commands === undefined) return;
  // A file or an input could make an allowed command do anything.
  if (what !== 'exec') throw forbidden(`it allows some commands only, and not ${tool}`);
  if (input !== undefined) throw forbidden('it allows some commands only, and no input for them');
  if (!commands.some((pattern) => isCommand(pattern, text)))
    throw forbidden(`it allows only the commands ${commands.map((one) => JSON.stringify(one)).join(', ')}`);
}

/** Plain words: the text of a star. Nothing in them can start another command, expand to something, or end a quote. */
const PLAIN = /^[\w@%+=:,./ -]*$/;

/** Whether a command line is the one of a pattern, with plain words for each `*`. One that could be split in several ways may not match. */
export const isCommand = (pattern: string, text: string): boolean =>
  wildcard(pattern, text, (words) => PLAIN.test(words));

/** The three limits on cost. */
export interface Caps {
  /** Dollars per hour for one run or fleet, all nodes together. */
  readonly maxPrice?: number | undefined;
  /** Dollars for one run in total. */
  readonly maxTotal?: number | undefined;
  /** Dollars per hour for everything active in the project, the new one included. */
  readonly maxActive?: number | undefined;
}

/** The upper limits of a change's cost, in dollars. */
export interface CappedCost {
  readonly hourly: Limit;
  /** `not-a-run` for fleets, volumes and gateways, which stay until they are deleted. */
  readonly total: Limit | 'not-a-run';
  /** Dollars per hour of what is active and stays active; undefined if that couldn't be read. */
  readonly activeHourly: number | undefined;
}

/** Returns the refusal of a change that exceeds a cap. If a cap is set, a price that can't be read is refused as well. */
export function checkCaps(cost: CappedCost, caps: Caps): ToolError | undefined {
  const hourly = asPrice(cost.hourly);
  if (hourly === undefined && hasCaps(caps))
    return cost.hourly === 'unlimited' ? openEnd() : unreadable('The hourly price');
  return (
    checkHourly(hourly, caps.maxPrice) ??
    checkTotal(cost.total, caps.maxTotal) ??
    checkActive(hourly, cost.activeHourly, caps.maxActive)
  );
}

/** Whether anything is limited. */
const hasCaps = (caps: Caps): boolean => Object.values(caps).some((cap) => cap !== undefined);

function checkHourly(hourly: number | undefined, cap: number | undefined): ToolError | undefined {
  if (cap === undefined || hourly === undefined || hourly <= cap) return undefined;
  return tooHigh(
    `It would cost ${formatPrice(hourly)}; the cap for one run is ${formatPrice(cap)}`,
    'Choose smaller or fewer resources',
  );
}

function checkTotal(total: CappedCost['total'], cap: number | undefined): ToolError | undefined {
  if (cap === undefined || total === 'not-a-run') return undefined;
  if (total === 'unlimited') {
    return tooHigh(
      `The cap for the total cost of one run is ${formatDollars(cap)}, but the total cost of this run has no limit`,
      'Set max_duration, limit idle_duration and stop_duration, fix the number of replicas, remove schedule, and retry only on no-capacity',
    );
  }
  const price = asPrice(total);
  if (price === undefined) return unreadable('The total price');
  if (price <= cap) return undefined;
  return tooHigh(
    `It would cost up to ${formatDollars(price)} in total; the cap for one run is ${formatDollars(cap)}`,
    'Set a shorter max_duration or choose smaller resources',
  );
}

function checkActive(
  hourly: number | undefined,
  activeHourly: number | undefined,
  cap: number | undefined,
): ToolError | undefined {
  if (cap === undefined) return undefined;
  const active = asPrice(activeHourly);
  if (active === undefined || hourly === undefined) return unreadable('The price of active resources');
  if (active + hourly <= cap) return undefined;
  return tooHigh(
    `Active resources cost ${formatPrice(active)}; another ${formatPrice(hourly)} would exceed the cap of ${formatPrice(cap)} for the whole project`,
    'Ask the user what to stop first',
  );
}

/** Returns a valid price; undefined for NaN, infinity and negative numbers. */
const asPrice = (value: Limit | undefined): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;

const tooHigh = (what: string, next: string): ToolError =>
  new ToolError('price-cap', `${what}. Nothing was submitted.`, `${next}, then plan again.`);

const openEnd = (): ToolError =>
  tooHigh(
    'The number of machines has no upper limit, so neither has the price, and a cap is set',
    'Set an upper limit for nodes or replicas',
  );

const unreadable = (what: string): ToolError =>
  new ToolError(
    'price-cap',
    `${what} can't be read from dstack's output, and a cap is set. Nothing was submitted.`,
    'Choose resources for which dstack shows a price, then plan again. It shows none for volumes and gateways, nor what a profile adds with schedule or stop_duration.',
  );
