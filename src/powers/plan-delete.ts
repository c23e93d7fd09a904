import { hasEffect } from '../cli/check-argv.ts';
import * as z from 'zod';
import type { CommandRequest } from '../cli/command.ts';
import type { Engine } from '../engine.ts';
import { ToolError } from '../errors.ts';
import { readDeleteOutcome } from '../output/read-outcome.ts';
import type { CommandRunner } from './command-runner.ts';
import { findResource } from './find-resource.ts';
import type { FoundResource } from './find-resource.ts';
import { performRemoval } from './perform-removal.ts';
import type { PlannedChange } from './planned-change.ts';
import type { DeleteRequest, TimePower } from './powers.ts';

const fleetInstances = z.looseObject({
  instances: z
    .array(z.looseObject({ instance_num: z.number(), status: z.string(), price: z.number().nullish() }))
    .default([]),
});

/** Looks at what would be deleted, and binds the deletion to it. */
export async function planDelete(
  engine: Engine,
  powers: { commands: CommandRunner; time: TimePower },
  request: DeleteRequest,
): Promise<PlannedChange> {
  const kind = request.kind === 'instance' ? 'fleet' : request.kind;
  const { name, instance } = request;
  engine.policy.admitResource({ kind, name, project: request.project, operation: 'delete' });
  const wanted = { kind, name, project: request.project } as const;
  const found = await findResource(powers.commands, wanted);
  if (found === undefined) throw nothingThere(kind, name);
  const instances = kind === 'fleet' ? readInstances(found, instance) : [];
  const { project, server } = await engine.endpoint(request.project);
  const resource = { kind: request.kind, name };
  const argv = await powers.commands.check(deleteCommand(request, kind));
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
      performRemoval(engine, powers, { argv, consent, read: readDeleteOutcome, facts, look: wanted }),
  };
}

function deleteCommand(request: DeleteRequest, kind: 'fleet' | 'volume' | 'gateway'): CommandRequest {
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
    kind === 'fleet' ? 'The fleet tool lists the fleets.' : `list with kind ${kind} gives the names.`,
  );
