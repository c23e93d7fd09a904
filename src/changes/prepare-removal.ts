import * as z from 'zod';
import { readJudgedConfiguration } from '../configuration/read-configuration.ts';
import type {
  Binding,
  DeleteByFile,
  DeleteByName,
  DeleteRequest,
  KnownPart,
  Operation,
  StopRequest,
} from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { plural } from '../core/values.ts';
import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CommandRequest } from '../dstack/argv/command.ts';
import { commandFailed } from '../dstack/client/dstack-client.ts';
import { findResource, kindOf, readLookUp, saysGone } from '../dstack/client/find-resource.ts';
import type { KnownResource, ResourceKind } from '../dstack/client/find-resource.ts';
import { readFailure, readOutcome } from '../dstack/output/read-outcome.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { ExpectedChange } from '../dstack/run/runner.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { endedWithoutChange } from './execute-change.ts';
import { bindChange, SHOW } from './planned-change.ts';
import { deleteInstanceRequest, deleteRequest } from './expected-requests.ts';
import type { ChangeCommand, PlanScope, PlannedChange, PreparedChange, SettledPlan } from './planned-change.ts';
import { fleetInstances } from './settle-outcome.ts';

/** Prepares the deletion of a fleet, an instance, a volume, a gateway or the record of a finished run. */
export async function prepareDelete(scope: PlanScope, request: DeleteRequest): Promise<PreparedChange> {
  if (!('file' in request)) return prepareNamed(scope, request, request);
  const file = await scope.workspace.readConfiguration(request.file);
  const { type, name } = await readJudgedConfiguration(await scope.dstack.cli(), file);
  if (name === undefined) throw noName(file.relativePath);
  const kind = kindOf(type);
  if (kind === 'run') return prepareRunFile(scope, request, { file, name });
  // The same as by name: dstack ignores whatever else the file says.
  return prepareNamed(scope, request, { tool: 'delete', kind, name, project: request.project });
}

function prepareNamed(
  scope: PlanScope,
  request: DeleteRequest,
  { kind: wanted, name, instance, project }: DeleteByName,
): Promise<PreparedChange> {
  const kind = wanted === 'instance' ? 'fleet' : wanted;
  const what = instance === undefined ? `${kind} ${name}` : `instance ${instance} of fleet ${name}`;
  return prepareRemoval(scope, {
    request,
    operation: 'delete',
    kind,
    name,
    resource: { kind: wanted, name },
    command: {
      command: `${kind} delete`,
      flags: { '--yes': true, '--instance': instance, '--project': project },
      positionals: [name],
    },
    sends: instance === undefined ? deleteRequest(`${kind}s`, name) : deleteInstanceRequest(name, instance),
    instance,
    inspect: (found) => {
      const instances = kind === 'fleet' ? readInstances(found, instance) : [];
      const busy = instances.filter(({ status }) => status === 'busy');
      const inUse = busy.map(({ instance_num: number }) => `${name}-${number}`);
      if (inUse.length > 0 || isAttached(kind, found)) return inUseInspection(what, found, inUse);
      return {
        kind: 'removable',
        action: `Delete ${what}`,
        losses: describeLosses(kind, found, instances),
        affected: instances.map((one) => `${one.instance_num}:${one.status}`),
        facts: found.status === undefined ? {} : { status: found.status },
        showsOutput: true,
      };
    },
  });
}

/** Prepares the deletion of a finished run by its file: dstack reads the same bytes that its name was read from. */
function prepareRunFile(
  scope: PlanScope,
  request: DeleteByFile,
  { file, name }: { file: ConfigurationFile; name: string },
): Promise<PreparedChange> {
  return prepareRemoval(scope, {
    request,
    operation: 'delete',
    kind: 'run',
    name,
    resource: { kind: 'run', name },
    command: {
      command: 'delete',
      flags: { '--file': file.relativePath, '--yes': true, '--project': request.project },
    },
    sends: deleteRequest('runs', name),
    file: {
      known: { cwd: file.folder, files: { [file.realPath]: file.sha256 } },
      options: { cwd: file.folder, pinnedFile: { path: file.realPath, bytes: file.bytes } },
    },
    inspect: (found) => inspectFinishedRun(found, name),
  });
}

function inspectFinishedRun(found: KnownResource, name: string): Inspection {
  const { status, isFinished } = readRun(found.value);
  if (!isFinished) {
    return {
      kind: 'settled',
      facts: { status },
      outcome: 'blocked',
      summary: `Run ${name} is ${status}: dstack deletes only finished runs. Nothing was deleted.`,
      next: 'If the user wants that, call stop first.',
    };
  }
  return {
    kind: 'removable',
    action: `Delete run ${name}`,
    losses: [`run ${name}, now ${status}: dstack marks it as deleted, and neither it nor its log can be found by name`],
    facts: { status },
    showsOutput: false,
  };
}

const noName = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} has no \`name\`, so it doesn't say what to delete. Nothing was deleted.`,
    'Pass `type` and `name` instead; fleet, ps, or list with `type` returns the names.',
  );

type Instance = z.output<typeof fleetInstances>['instances'][number];

function readInstances(fleet: KnownResource, wanted: number | undefined): readonly Instance[] {
  const { instances } = fleetInstances.parse(fleet.value);
  if (wanted === undefined) return instances;
  const found = instances.filter((one) => one.instance_num === wanted);
  if (found.length > 0) return found;
  const numbers = instances.map((one) => one.instance_num).join(', ');
  throw new ToolError(
    'invalid-value',
    `Fleet ${fleet.name} has no instance ${wanted}. Nothing was deleted.`,
    numbers === '' ? 'It has no instances: fleet shows its state.' : `Pass one of these as \`instance\`: ${numbers}.`,
  );
}

const attachedVolume = z.looseObject({ attachments: z.array(z.unknown()).min(1) });

const isAttached = (kind: string, found: KnownResource): boolean =>
  kind === 'volume' && attachedVolume.safeParse(found.value).success;

/** dstack's server refuses to delete what jobs are on (is_fleet_in_use, services/fleets.py; delete_volumes, services/volumes.py). */
function inUseInspection(what: string, { status }: KnownResource, instances: readonly string[]): Inspection {
  const where = instances.length === 0 ? '' : ` (busy: ${instances.join(', ')})`;
  return {
    kind: 'settled',
    facts: status === undefined ? {} : { status },
    outcome: 'blocked',
    summary: `Runs are using ${what}${where}: dstack refuses to delete what is in use. Nothing was deleted.`,
    next: 'ps shows the runs. If the user wants that, stop them first, then delete again.',
  };
}

function describeLosses(kind: string, found: KnownResource, instances: readonly Instance[]): string[] {
  const status = found.status === undefined ? '' : `, now ${found.status}`;
  if (kind === 'volume') return [`volume ${found.name}${status}: the data on it is lost`];
  const states = instances.map((one) => `${found.name}-${one.instance_num} (${one.status})`).join(', ');
  return [
    `${kind} ${found.name}${status}`,
    ...(instances.length === 0 ? [] : [`${plural(instances.length, 'instance')}: ${states}`]),
  ];
}

/** Something to be stopped or deleted. */
interface Removal {
  readonly request: StopRequest | DeleteRequest;
  readonly operation: Extract<Operation, 'stop' | 'abort' | 'delete'>;
  /** The resource that dstack keeps, and that the policy decides on. */
  readonly kind: ResourceKind;
  readonly name: string;
  /** The resource that the consent names; an instance is a part of the fleet `name`. */
  readonly resource: Binding['resource'];
  readonly command: CommandRequest;
  /** The file that names the resource, where dstack reads it. */
  readonly file?: {
    readonly known: Pick<KnownPart['binding'], 'cwd' | 'files'>;
    readonly options: ChangeCommand['options'];
  };
  /** The request that dstack sends for it. */
  readonly sends: ExpectedChange;
  /** The instance that is deleted, if it isn't the whole fleet. */
  readonly instance?: number | undefined;
  /** Looks at the existing resource: what would be lost, or why there is nothing to consent to. */
  readonly inspect: (found: KnownResource) => Inspection;
}

export type Inspection =
  | {
      readonly kind: 'removable';
      /** As in `Stop run train-1`. */
      readonly action: string;
      readonly losses: readonly string[];
      /** Losses that only the person is shown: what is missing from the summary. */
      readonly moreLosses?: readonly string[];
      readonly affected?: readonly string[];
      readonly facts: { readonly status?: string; readonly pricePerHour?: number };
      /** Whether dstack's output about the resource is shown. */
      readonly showsOutput: boolean;
    }
  | (Pick<SettledPlan, 'outcome' | 'summary' | 'next'> & {
      readonly kind: 'settled';
      readonly facts: { readonly status?: string; readonly pricePerHour?: number };
    });

/** Judges a stop or a deletion by what is on this computer. */
export async function prepareRemoval(scope: PlanScope, removal: Removal): Promise<PreparedChange> {
  const { dstack, policy } = scope;
  const { request, operation, kind, name, file } = removal;
  const { project, server } = await dstack.endpoint(request.project);
  policy.assertResourceAllowed({ kind, name, project, operation });
  const argv = await dstack.check(removal.command);
  if (!hasEffect(argv, 'change')) throw new TypeError(`${argv.command} --yes must count as a change`);
  const { version: cliVersion, isPython } = await dstack.cli();
  const place = file?.known ?? { cwd: '', files: {} };
  const known = { argv: argv.argv, binding: { project, server, cliVersion, ...place } };
  const requests = isPython ? [removal.sends] : undefined;
  return {
    kind: 'prepared',
    known,
    recordSent: async () => undefined,
    command: { argv, options: file?.options ?? {}, project: request.project },
    async plan() {
      const found = await findResource(dstack, { kind, name, project: request.project });
      if (found === undefined) throw notFound(removal);
      return planRemoval({ removal, known, requests }, found, [found.transcript]);
    },
    async planHeld(held) {
      const found = readLookUp(held, { kind, name, project });
      if (found === 'none') throw notFound(removal);
      if (found === undefined) throw notLookedUp(removal);
      return planRemoval({ removal, known, requests }, found, []);
    },
    async explainEnd(transcript) {
      const failure = readFailure(transcript);
      if (failure !== undefined && saysGone(failure, kind)) return notFound(removal);
      if (failure !== undefined) return commandFailed(transcript, failure);
      return endedWithoutChange(readOutcome(transcript));
    },
  };
}

interface KnownRemoval {
  readonly removal: Removal;
  readonly known: KnownPart;
  readonly requests: readonly ExpectedChange[] | undefined;
}

/** Looks at what would be stopped or deleted, and binds the change to it. */
function planRemoval(
  { removal, known, requests }: KnownRemoval,
  found: KnownResource,
  printed: PlannedChange['printed'],
): PlannedChange {
  const { request, operation, kind, name, resource } = removal;
  const { project } = known.binding;
  const inspection = removal.inspect(found);
  const facts = { operation, resource, project, ...inspection.facts };
  if (inspection.kind === 'settled') {
    const { outcome, summary, next } = inspection;
    return { kind: 'settled', printed: [], facts, outcome, summary, next };
  }
  const { action, losses, moreLosses = [], affected } = inspection;
  return {
    kind: 'ready',
    printed: inspection.showsOutput ? printed : [],
    summary: `${action}? ${losses.join('; ')}. ${nothingWas(operation)} yet.`,
    facts,
    next: SHOW,
    pending: bindChange({
      request,
      operation,
      known,
      resource,
      requests,
      present: found.id,
      ...(affected === undefined ? {} : { affected }),
      shown: { action, losses: [...losses, ...moreLosses], warnings: [] },
    }),
    // Not the state before the change: it's looked up afterwards.
    execution: {
      resource: { kind, name, project: request.project },
      effect:
        operation === 'delete'
          ? { kind: 'deleted', id: found.id, instance: removal.instance }
          : { kind: 'stopped', id: found.id },
      facts: { operation, resource, project },
      requests,
    },
  };
}

const notLookedUp = ({ kind, name, operation }: Removal): ToolError =>
  new ToolError(
    'cli-not-understood',
    `dstack didn't report the ${kind} ${name} before it was about to change it. ${nothingWas(operation)}.`,
    'Use doctor to check which version of the CLI is installed.',
  );

const nothingWas = (operation: Removal['operation']): string =>
  operation === 'delete' ? 'Nothing was deleted' : 'Nothing was stopped';

const LISTED_BY: Readonly<Record<ResourceKind, string>> = {
  fleet: 'fleet lists the fleets.',
  run: 'ps with `all` lists the runs.',
  volume: 'list with type "volumes" returns the names.',
  gateway: 'list with type "gateways" returns the names.',
};

const notFound = ({ kind, name, operation }: Removal): ToolError =>
  new ToolError('invalid-name', `There is no ${kind} ${name}. ${nothingWas(operation)}.`, LISTED_BY[kind]);
