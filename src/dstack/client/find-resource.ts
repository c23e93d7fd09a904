import * as z from 'zod';
import type { Catalog, CommandRequest } from '../argv/command.ts';
import { ToolError } from '../../core/errors.ts';
import type { Transcript } from '../../core/transcript.ts';
import { readJsonOutput } from '../output/json-output.ts';
import type { Failure } from '../output/read-outcome.ts';
import type { LookUp } from '../run/runner.ts';
import { commandFailed } from './dstack-client.ts';
import type { DstackClient } from './dstack-client.ts';

/** The command that shows a resource, by its kind. */
const GET_COMMANDS = { run: 'run get', fleet: 'fleet get', volume: 'volume get', gateway: 'gateway get' } as const;

export type ResourceKind = keyof typeof GET_COMMANDS;

/** Returns the kind of resource that a configuration of this type creates. */
export const kindOf = (type: string): ResourceKind =>
  type === 'fleet' || type === 'volume' || type === 'gateway' ? type : 'run';

/** Returns the command that shows a resource if the CLI doesn't document it: then nothing of that kind is changed or removed. */
export async function missingLookUp(
  catalog: Pick<Catalog, 'flagsOf'>,
  kind: ResourceKind,
): Promise<string | undefined> {
  try {
    await catalog.flagsOf(GET_COMMANDS[kind]);
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return GET_COMMANDS[kind];
    throw error;
  }
}

/** Returns the command that shows a resource. */
export const getCommand = ({ kind, name, project }: WantedResource): CommandRequest => ({
  command: GET_COMMANDS[kind],
  flags: { '--json': true, '--project': project },
  positionals: [name],
});

interface WantedResource {
  readonly kind: ResourceKind;
  readonly name: string;
  readonly project: string | undefined;
}

/** The current state of a resource. */
export interface KnownResource {
  readonly id: string;
  readonly name: string;
  readonly status: string | undefined;
  readonly value: Readonly<Record<string, unknown>>;
}

/** A resource that a command looked up, and what it printed. */
export interface FoundResource extends KnownResource {
  readonly transcript: Transcript;
}

const resource = z.looseObject({
  id: z.string(),
  name: z.string().nullish(),
  /** The name of a run. */
  run_spec: z.looseObject({ run_name: z.string().nullish() }).nullish(),
  project_name: z.string().nullish(),
  status: z.string().nullish(),
});

/** Reads an answer; undefined if it isn't understood, or is about another resource, as a cache or a proxy may return. */
function readResource(answer: unknown, { name, project }: Omit<WantedResource, 'kind'>): KnownResource | undefined {
  const { data: value } = resource.safeParse(answer);
  if (value === undefined) return undefined;
  const isOther =
    [value.name, value.run_spec?.run_name].some((one) => (one ?? name) !== name) ||
    (project !== undefined && (value.project_name ?? project) !== project);
  return isOther ? undefined : { id: value.id, name, status: value.status ?? undefined, value };
}

/**
 * Looks up a resource; returns undefined if it doesn't exist.
 * @throws CommandFailed if dstack can't be asked; ToolError `cli-not-understood` if it prints no resource, or another one.
 */
export async function findResource(client: DstackClient, wanted: WantedResource): Promise<FoundResource | undefined> {
  const { transcript, failure } = await client.tryRead(getCommand(wanted), { guarded: false });
  if (failure !== undefined && saysGone(failure, wanted.kind)) return undefined;
  if (failure !== undefined) throw commandFailed(transcript, failure);
  const { project, server } = await client.endpoint(wanted.project);
  // Where no server is known, neither is the default project.
  const place = URL.canParse(server) ? { project } : { project: wanted.project };
  const found = readResource(readJsonOutput(transcript.stdout), { ...wanted, ...place });
  if (found === undefined) throw notUnderstood(wanted);
  return { ...found, transcript };
}

/**
 * Whether dstack reports that there is no such resource. Its message names the kind, or for a gateway none. A project or a job that
 * isn't found proves nothing about the resource.
 */
export const saysGone = ({ code, message }: Pick<Failure, 'code' | 'message'>, kind: ResourceKind): boolean =>
  code === 'not-found' && [kind, 'resource'].some((word) => message.toLowerCase().startsWith(`${word} `));

/**
 * Looks up a run that has to exist. `consequence` says what wasn't done otherwise.
 * @throws ToolError `invalid-name` if it doesn't exist; else as `findResource`
 */
export async function findRun(
  client: DstackClient,
  { run: name, project }: { readonly run: string; readonly project?: string | undefined },
  consequence: string,
): Promise<FoundResource> {
  const found = await findResource(client, { kind: 'run', name, project });
  if (found !== undefined) return found;
  throw new ToolError(
    'invalid-name',
    `There is no run ${name}. ${consequence}`,
    'ps lists the unfinished runs, and with `all` also the others. Use one of these names.',
  );
}

/** Returns the request by which dstack's own commands look up a resource (api/server/_runs.py and its siblings). */
export const lookUpRequest = ({ kind, name }: Pick<WantedResource, 'kind' | 'name'>): LookUp => ({
  path: `${kind}s/get`,
  body: kind === 'run' ? { run_name: name } : { name },
});

/**
 * Returns the resource as it was looked up after the last change was accepted: `none` if there was none, undefined if it isn't known.
 */
export function readLookUpAfter(
  { requests = [] }: Pick<Transcript, 'requests'>,
  wanted: WantedResource,
): KnownResource | 'none' | undefined {
  const change = requests.findLastIndex((one) => 'kind' in one && one.kind === 'change');
  return change === -1 ? undefined : readLookUp({ requests: requests.slice(change + 1) }, wanted);
}

/**
 * Returns the resource that dstack itself looked up on its way to a plan or a change: `none` if there is none, undefined if it looked up
 * none, or one that isn't understood.
 */
export function readLookUp(
  { requests = [] }: Pick<Transcript, 'requests'>,
  wanted: WantedResource,
): KnownResource | 'none' | undefined {
  const paths = new Set([`${wanted.kind}s/get`, `${wanted.kind}s/get_plan`]);
  const found = requests.findLast(
    (one) => (one.event === 'found' || one.event === 'unreadable') && paths.has(one.path),
  );
  if (found?.event !== 'found') return undefined;
  if (found.value === null) return 'none';
  return readResource(found.value, wanted);
}

const notUnderstood = ({ kind, name }: WantedResource): ToolError =>
  new ToolError(
    'cli-not-understood',
    `dstack was asked for the ${kind} ${name} and printed something without an id, or another resource.`,
    'Use doctor to check which version of the CLI is installed.',
  );
