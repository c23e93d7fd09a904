import * as z from 'zod';
import { readJudgedConfiguration } from '../configuration/read-configuration.ts';
import type { DeleteByFile, DeleteByName, DeleteRequest } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { plural } from '../core/format-values.ts';
import { kindOf } from '../dstack/client/find-resource.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-run.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { deleteInstanceRequest, deleteRequest } from './expected-requests.ts';
import { prepareRemoval } from './prepare-removal.ts';
import type { Inspection } from './prepare-removal.ts';
import type { PlanScope, PreparedChange } from './planned-change.ts';

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
      const inUse =
        kind === 'fleet'
          ? instances.filter(({ status }) => status === 'busy').map(({ instance_num: number }) => `${name}-${number}`)
          : [];
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

const fleetInstances = z.looseObject({
  instances: z
    .array(z.looseObject({ instance_num: z.number(), status: z.string(), price: z.number().nullish() }))
    .default([]),
});

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
    numbers === '' ? 'It has no instances.' : `It has: ${numbers}.`,
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
