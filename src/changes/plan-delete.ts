import { hasEffect } from '../dstack/argv/check-argv.ts';
import * as z from 'zod';
import type { CommandRequest } from '../dstack/argv/command.ts';
import { readConfigurationHead } from '../configuration/read-configuration.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import { readDeleteOutcome } from '../dstack/output/read-outcome.ts';
import { readRun } from '../dstack/output/read-run.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource, kindOf } from '../dstack/client/find-resource.ts';
import type { FoundResource } from '../dstack/client/find-resource.ts';
import { executeRemoval } from './execute-removal.ts';
import type { PlannedChange } from './planned-change.ts';
import type { DeleteByFile, DeleteByName, DeleteRequest } from '../core/change.ts';
import type { Deadline } from '../core/deadline.ts';

const fleetInstances = z.looseObject({
  instances: z
    .array(z.looseObject({ instance_num: z.number(), status: z.string(), price: z.number().nullish() }))
    .default([]),
});

/** Looks at what would be deleted, and binds the deletion to it. */
export async function planDelete(
  engine: App,
  powers: { commands: DstackClient; time: Deadline },
  request: DeleteRequest,
): Promise<PlannedChange> {
  if (!('file' in request)) return planNamed(engine, powers, { named: request, request });
  const file = await engine.workspace.readConfiguration(request.file);
  const { type, name } = readConfigurationHead(file.bytes, file.relativePath);
  if (name === undefined) throw noName(file.relativePath);
  const kind = kindOf(type);
  if (kind === 'run') return planRunFile(engine, powers, { request, file, name });
  // The same as by name: what else the file says doesn't matter to dstack either.
  const named = { tool: 'delete', kind, name, project: request.project } as const;
  return planNamed(engine, powers, { named, request });
}

async function planNamed(
  engine: App,
  powers: { commands: DstackClient; time: Deadline },
  { named, request }: { named: DeleteByName; request: DeleteRequest },
): Promise<PlannedChange> {
  const kind = named.kind === 'instance' ? 'fleet' : named.kind;
  const { name, instance } = named;
  engine.policy.assertResourceAllowed({ kind, name, project: request.project, operation: 'delete' });
  const wanted = { kind, name, project: request.project } as const;
  const found = await findResource(powers.commands, wanted);
  if (found === undefined) throw nothingThere(kind, name);
  const instances = kind === 'fleet' ? readInstances(found, instance) : [];
  const { project, server } = await engine.endpoint(request.project);
  const resource = { kind: named.kind, name };
  const argv = await powers.commands.check(deleteCommand(named, kind));
  if (!hasEffect(argv, 'destroy')) throw new TypeError('delete --yes destroys something');
  const facts = {
    operation: 'delete',
    resource,
    project,
    ...(found.status === undefined ? {} : { status: found.status }),
  } as const;
  const what = instance === undefined ? `${kind} ${name}` : `instance ${instance} of fleet ${name}`;
  const losses = describeLosses(kind, found, instances);
  return {
    printed: [found.transcript],
    summary: `Delete ${what}? ${losses.join('; ')}. Nothing was deleted yet.`,
    facts,
    next: 'Show this to the user. Only after their yes, call delete with the token alone.',
    pending: {
      request,
      operation: 'delete',
      argv: argv.argv,
      binding: {
        tool: 'delete',
        resource,
        project,
        server,
        cwd: '',
        files: {},
        present: found.id,
        affected: instances.map((one) => `${one.instance_num}:${one.status}`),
        pricePerHour: null,
        cliVersion: (await engine.cli()).version,
      },
      summary: { action: `Delete ${what}`, resource, project, server, losses, warnings: [] },
    },
    perform: (consent) =>
      executeRemoval(engine, powers, { argv, consent, read: readDeleteOutcome, facts, look: wanted }),
  };
}

/** The record of a finished run, by its file: the bytes that were read are those that dstack gets, and so is its name. */
async function planRunFile(
  engine: App,
  powers: { commands: DstackClient; time: Deadline },
  { request, file, name }: { request: DeleteByFile; file: ConfigurationFile; name: string },
): Promise<PlannedChange> {
  engine.policy.assertResourceAllowed({ kind: 'run', name, project: request.project, operation: 'delete' });
  const look = { kind: 'run', name, project: request.project } as const;
  const found = await findResource(powers.commands, look);
  if (found === undefined) throw nothingThere('run', name);
  const run = readRun(found.value);
  const { project, server } = await engine.endpoint(request.project);
  const resource = { kind: 'run', name };
  const argv = await powers.commands.check({
    command: 'delete',
    flags: { '--file': file.relativePath, '--yes': true, '--project': request.project },
  });
  if (!hasEffect(argv, 'destroy')) throw new TypeError('delete --yes destroys something');
  const facts = { operation: 'delete', resource, project, status: run.status } as const;
  const where = { cwd: file.folder, pinnedFile: { path: file.realPath, bytes: file.bytes } };
  const perform: PlannedChange['perform'] = (consent) =>
    executeRemoval(engine, powers, { argv, consent, read: readDeleteOutcome, facts, look, where });
  if (!run.isFinished) {
    return {
      printed: [],
      facts,
      perform,
      outcome: 'blocked',
      summary: `Run ${name} is ${run.status}: dstack deletes finished runs only. Nothing was deleted.`,
      next: 'Stop it first, with the stop tool, if the user wants that.',
    };
  }
  const losses = [
    `run ${name}, now ${run.status}: dstack marks it as deleted, and by its name neither it nor its log is found any more`,
  ];
  return {
    printed: [],
    summary: `Delete run ${name}? ${losses.join('; ')}. Nothing was deleted yet.`,
    facts,
    next: 'Show this to the user. Only after their yes, call delete with the token alone.',
    pending: {
      request,
      operation: 'delete',
      argv: argv.argv,
      binding: {
        tool: 'delete',
        resource,
        project,
        server,
        cwd: file.folder,
        files: { [file.realPath]: file.sha256 },
        present: found.id,
        affected: [],
        pricePerHour: null,
        cliVersion: (await engine.cli()).version,
      },
      summary: { action: `Delete run ${name}`, resource, project, server, losses, warnings: [] },
    },
    perform,
  };
}

const noName = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} has no \`name\`, so it doesn't say what to delete. Nothing was deleted.`,
    'Give `kind` and `name` instead; fleet, ps, or list with `kind`, gives the names.',
  );

function deleteCommand(request: DeleteByName, kind: 'fleet' | 'volume' | 'gateway'): CommandRequest {
  return {
    command: `${kind} delete`,
    flags: { '--yes': true, '--instance': request.instance, '--project': request.project },
    positionals: [request.name],
  };
}

type Instance = z.output<typeof fleetInstances>['instances'][number];

function readInstances(fleet: FoundResource, wanted: number | undefined): readonly Instance[] {
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

function describeLosses(kind: string, found: FoundResource, instances: readonly Instance[]): string[] {
  const status = found.status === undefined ? '' : `, now ${found.status}`;
  if (kind === 'volume') return [`volume ${found.name}${status}: the data on it is lost`];
  const busy = instances.filter((one) => one.status === 'busy');
  return [
    `${kind} ${found.name}${status}`,
    ...(instances.length === 0
      ? []
      : [
          `${instances.length} instance(s): ${instances.map((one) => `${one.instance_num} is ${one.status}`).join(', ')}`,
        ]),
    ...(busy.length === 0 ? [] : ['runs are on it: dstack refuses to delete what is in use']),
  ];
}

const nothingThere = (kind: string, name: string): ToolError =>
  new ToolError(
    'invalid-name',
    `There is no ${kind} ${name}. Nothing was deleted.`,
    kind === 'fleet'
      ? 'The fleet tool lists the fleets.'
      : kind === 'run'
        ? 'ps with `all` lists the runs.'
        : `list with kind ${kind} gives the names.`,
  );
