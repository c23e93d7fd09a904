import { randomInt } from 'node:crypto';
import * as z from 'zod';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import { backendNames, readIndex } from '../configuration/schema-index.ts';
import type { ApplyRequest } from '../core/change.ts';
import { isRunType } from '../core/dstack-terms.ts';
import { ToolError } from '../core/errors.ts';
import type { Cost } from '../core/values.ts';
import type { Catalog, CommandRequest, DocumentedFlag, FlagValue } from '../dstack/argv/command.ts';
import type { ClientCli } from '../dstack/client/dstack-client.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { matchesPlace, checkCaps } from '../safety/policy/policy-rules.ts';
import type { Caps } from '../safety/policy/policy-rules.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';

interface Sources extends Pick<ClientCli, 'catalog' | 'introspection'> {
  readonly policy: PolicySnapshot;
}

interface ApplyCommand {
  readonly command: CommandRequest;
  readonly flags: readonly string[];
  /** The name that was chosen for a resource without one. */
  readonly chosenName: string | undefined;
}

/** Returns the command that plans; the one that applies differs only by `--yes --detach`. */
export async function applyCommand(
  { catalog, introspection, policy }: Sources,
  request: ApplyRequest,
  { file, head }: { file: ConfigurationFile; head: ConfigurationHead },
): Promise<ApplyCommand> {
  const documented = await flagsOfType(catalog, file, head);
  const { extraFlags = {} } = request;
  const isNamed = (head.name ?? '') !== '' || '--name' in extraFlags || !documented.has('--name');
  const chosenName = isNamed ? undefined : (request.chosenName ?? chooseName());
  const priced = documented.has('--max-price')
    ? maxPriceFlag(policy.caps, head, extraFlags)
    : { extraFlags, priceFlag: undefined };
  const placed = await restrictBackends({
    allowed: policy.limits,
    type: head.type,
    configuration: head.value,
    extraFlags: priced.extraFlags,
    documented,
    backendNames: async () => backendNames(await readIndex(introspection)),
  });
  const limits = { '--name': chosenName, '--max-price': priced.priceFlag, ...placed.flags };
  return {
    command: {
      command: 'apply',
      configurationType: head.type,
      flags: { '--file': file.relativePath, '--project': request.project, ...limits },
      extraFlags: placed.extraFlags,
    },
    flags: describeFlags({ ...placed.extraFlags, ...limits }, documented),
    chosenName,
  };
}

const ADJECTIVES = 'brave bright calm clever curly fast gentle happy kind light proud quiet'.split(' ');
const ANIMALS = 'badger dove falcon fox goat horse lizard otter panda rabbit tiger yak'.split(' ');

/**
 * Returns a new name like those that dstack's server chooses (utils/random_names.py). With a name, the server refuses a second submission
 * of the same, and a submission whose response was lost can be looked up.
 */
function chooseName(): string {
  const pick = (words: readonly string[]): string => words[randomInt(words.length)] ?? '';
  return `${pick(ADJECTIVES)}-${pick(ANIMALS)}-${randomInt(1_000, 1_000_000)}`;
}

/** Describes each flag: its name, its values, and what dstack documents about it. */
function describeFlags(
  given: Readonly<Record<string, unknown>>,
  documented: ReadonlyMap<string, DocumentedFlag>,
): string[] {
  return Object.entries(given)
    .filter(([, value]) => value !== undefined && value !== false)
    .flatMap(([name, value]) => {
      const help = documented.get(name)?.help ?? '';
      return [value]
        .flat()
        .map((one) => `${name}${one === true ? '' : ` ${String(one)}`}${help === '' ? '' : ` (${help})`}`);
    });
}

/** Returns the flags of the configuration's type. @throws ToolError `invalid-file` for a type that dstack doesn't know */
async function flagsOfType(
  catalog: Catalog,
  file: ConfigurationFile,
  head: ConfigurationHead,
): Promise<ReadonlyMap<string, DocumentedFlag>> {
  try {
    return (await catalog.flagsOf('apply', head.type)).own;
  } catch (error) {
    if (!(error instanceof ToolError) || error.code !== 'unknown-command') throw error;
    throw new ToolError(
      'invalid-file',
      `${file.relativePath} has the type ${JSON.stringify(head.type.slice(0, 80))}, which dstack ${catalog.version} doesn't document. Nothing was run.`,
      'The types are task, service, dev-environment, fleet, volume and gateway; a newer type needs a newer dstack.',
      { cause: error },
    );
  }
}

/**
 * Returns the price cap that dstack enforces as well, in USD per hour for one node: the lowest of the cap's share, the file's own
 * `max_price` and the requested one. On the command line it overrides the file, so it must never be higher.
 * @throws ToolError `invalid-value` if the requested one isn't a price: the cap must not silently take its place.
 */
function maxPriceFlag(
  caps: Caps,
  head: ConfigurationHead,
  extraFlags: Readonly<Record<string, unknown>>,
): { extraFlags: Readonly<Record<string, unknown>>; priceFlag: number | undefined } {
  if (caps.maxPrice === undefined) return { extraFlags, priceFlag: undefined };
  const { '--max-price': requested, ...others } = extraFlags;
  const share = caps.maxPrice / Math.max(1, head.copies ?? 1);
  const inFile = price.safeParse(head.value['max_price'] ?? undefined).data ?? share;
  const asked = requested === undefined ? share : readRequestedPrice(requested);
  // Rounded down, so that the sum over all nodes stays below the cap.
  return { extraFlags: others, priceFlag: Math.floor(Math.min(share, inFile, asked) * 10_000) / 10_000 };
}

const price = z.coerce.number<string | number>().nonnegative();
const requestedPrice = z.union([z.number(), z.string().trim().min(1)]).pipe(price);

function readRequestedPrice(value: unknown): number {
  const { data } = requestedPrice.safeParse(value);
  if (data !== undefined) return data;
  throw new ToolError(
    'invalid-value',
    "The value of --max-price isn't a price. Nothing was run.",
    'Pass US dollars per hour as a number, as in 0.5.',
  );
}

/**
 * Enforces the operator's price caps on a plan, except for `max_active`, which depends on other changes (`assertRoom`).
 * @throws ToolError `price-cap`, also if a cap is set and the price can't be read.
 */
export function enforcePriceCaps({ maxPrice, maxTotal }: Caps, { type }: ConfigurationHead, cost: Cost): void {
  const refusal = checkCaps(
    {
      hourly: cost.mostPerHour,
      total: isRunType(type) ? cost.mostInTotal : 'not-a-run',
      activeHourly: undefined,
    },
    { maxPrice, maxTotal },
  );
  if (refusal !== undefined) throw refusal;
}

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
