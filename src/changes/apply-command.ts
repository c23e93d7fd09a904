import { randomInt } from 'node:crypto';
import type { CommandRequest, DocumentedFlag, Catalog } from '../dstack/argv/command.ts';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import type { ClientCli } from '../dstack/client/dstack-client.ts';
import { backendNames, readIndex } from '../configuration/schema-index.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';
import { ToolError } from '../core/errors.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { maxPriceFlag } from './enforce-price-caps.ts';
import { restrictBackends } from './restrict-backends.ts';
import type { ApplyRequest } from '../core/change.ts';

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

const ADJECTIVES = [
  'brave',
  'bright',
  'calm',
  'clever',
  'curly',
  'fast',
  'gentle',
  'happy',
  'kind',
  'light',
  'proud',
  'quiet',
];
const ANIMALS = [
  'badger',
  'dove',
  'falcon',
  'fox',
  'goat',
  'horse',
  'lizard',
  'otter',
  'panda',
  'rabbit',
  'tiger',
  'yak',
];

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
    .map(([name, value]) => {
      const values = value === true ? '' : ` ${(Array.isArray(value) ? value : [value]).map(String).join(', ')}`;
      const help = documented.get(name)?.help ?? '';
      return `${name}${values}${help === '' ? '' : ` (${help})`}`;
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
