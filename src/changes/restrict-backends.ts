import { ToolError } from '../core/errors.ts';
import type { FlagValue } from '../dstack/argv/command.ts';
import { matchesPlace } from '../safety/policy/policy-rules.ts';

/** The kinds of locations that the operator may limit, with the flag and the property that choose them. */
const LOCATIONS = [
  { flag: '--backend', property: 'backends' },
  { flag: '--region', property: 'regions' },
] as const;

/** The choice of a plan, and what the operator allows. */
export interface PlaceChoice {
  readonly allowed: {
    readonly backends: readonly string[] | undefined;
    readonly regions: readonly string[] | undefined;
  };
  readonly type: string;
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly extraFlags: Readonly<Record<string, unknown>>;
  /** The flags that dstack documents for the type. */
  readonly documented: { has(flag: string): boolean };
  /** Returns the backends that the installed dstack knows; undefined if it doesn't list them. */
  backendNames(): Promise<readonly string[] | undefined>;
}

type Names = readonly string[];
type Property = (typeof LOCATIONS)[number]['property'];

/**
 * Returns the backends and regions that dstack is restricted to: the operator's, narrowed by those of the call or else of the file. On
 * the command line they override the file and the profile. dstack takes no patterns and shows only a few offers, so each pattern is
 * expanded into names first.
 * @throws ToolError `policy` if nothing that was requested is allowed, or if the restriction can't be handed to dstack.
 */
export async function restrictBackends(
  choice: PlaceChoice,
): Promise<{ flags: Readonly<Record<string, FlagValue>>; extraFlags: Readonly<Record<string, unknown>> }> {
  const flags: Record<string, FlagValue> = {};
  const left = { ...choice.extraFlags };
  for (const { flag, property } of LOCATIONS) {
    const patterns = choice.allowed[property];
    if (patterns === undefined) continue;
    if (choice.documented.has(flag)) {
      flags[flag] = await namesFor(choice, flag, property, patterns);
      delete left[flag];
    } else if (choice.type === 'fleet') assertFileNames(choice.configuration[property], property, patterns);
    // A volume and a gateway name one backend and one region, which are compared themselves.
  }
  return { flags, extraFlags: left };
}

async function namesFor(choice: PlaceChoice, flag: string, property: Property, patterns: Names): Promise<Names> {
  const requested = toNames(choice.extraFlags[flag]) ?? toNames(choice.configuration[property]);
  if (requested === undefined) return expand(choice, property, patterns);
  const names = requested.filter((name) => matchesPlace(property, name, patterns));
  if (names.length > 0) return names;
  throw new ToolError(
    'policy',
    `None of the requested ${property} (${requested.join(', ')}) is allowed here. Nothing was planned.`,
    `Allowed: ${patterns.join(', ')}.`,
  );
}

async function expand(choice: PlaceChoice, property: Property, patterns: Names): Promise<Names> {
  const known = property === 'backends' ? await choice.backendNames() : undefined;
  const names = known?.filter((name) => matchesPlace(property, name, patterns)) ?? patterns;
  if (names.length > 0 && !names.some((name) => name.includes('*'))) return names;
  throw new ToolError(
    'policy',
    `The operator's policy allows the ${property} ${patterns.join(', ')}, and dstack needs exact names. Nothing was planned.`,
    `Name ${property} that match it: set \`${property}\` in the file.`,
  );
}

/** dstack documents no flags for the places of a fleet, and the file overrides the profile: the file has to name them. */
function assertFileNames(value: unknown, property: Property, patterns: Names): void {
  const named = toNames(value);
  const forbidden = named?.filter((name) => !matchesPlace(property, name, patterns));
  if (forbidden?.length === 0) return;
  const problem =
    forbidden === undefined
      ? `this fleet may use any ${property}`
      : `this fleet may use the ${property} ${forbidden.join(', ')}`;
  throw new ToolError(
    'policy',
    `The operator's policy allows only the ${property} ${patterns.join(', ')}, and ${problem}. Nothing was planned.`,
    `Set \`${property}\` in the file to names that match.`,
  );
}

/** Returns the names; undefined for none, which dstack treats as all. */
function toNames(value: unknown): Names | undefined {
  if (value === undefined || value === null) return undefined;
  const names = (Array.isArray(value) ? value : [value]).map(String);
  return names.length === 0 ? undefined : names;
}
