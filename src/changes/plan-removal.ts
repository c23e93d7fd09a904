import type { Binding, Operation, StopRequest, DeleteRequest } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CommandRequest } from '../dstack/argv/command.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import type { FoundResource, ResourceKind } from '../dstack/client/find-resource.ts';
import type { ExpectedChange } from '../dstack/run/wire-rule.ts';
import type { Execution, PlannedChange, PlanScope, SettledPlan } from './planned-change.ts';
import { bindChange } from './bind-change.ts';
import type { ChangeToBind } from './bind-change.ts';

/** Something to be stopped or deleted. */
export interface Removal {
  readonly request: StopRequest | DeleteRequest;
  readonly operation: Extract<Operation, 'stop' | 'abort' | 'delete'>;
  /** The resource that dstack keeps, and that the policy decides on. */
  readonly kind: ResourceKind;
  readonly name: string;
  /** The resource that the consent names; an instance is a part of the fleet `name`. */
  readonly resource: Binding['resource'];
  readonly command: CommandRequest;
  /** The request that dstack sends for it. */
  readonly sends: ExpectedChange;
  readonly files?: ChangeToBind['files'];
  readonly execution: Pick<Execution, 'options' | 'readOutcome'>;
  /** The instance that is deleted, if it isn't the whole fleet. */
  readonly instance?: number | undefined;
  /** Looks at the existing resource: what would be lost, or why there is nothing to consent to. */
  readonly inspect: (found: FoundResource) => Inspection;
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

/** Looks at what would be stopped or deleted, and binds the change to it. */
export async function planRemoval({ dstack, policy }: PlanScope, removal: Removal): Promise<PlannedChange> {
  const { request, operation, kind, name, resource } = removal;
  const endpoint = await dstack.endpoint(request.project);
  const { project } = endpoint;
  policy.assertResourceAllowed({ kind, name, project, operation });
  const wanted = { kind, name, project: request.project };
  const found = await findResource(dstack, wanted);
  if (found === undefined) throw notFound(removal);
  const inspection = removal.inspect(found);
  const facts = { operation, resource, project, ...inspection.facts };
  if (inspection.kind === 'settled') {
    const { outcome, summary, next } = inspection;
    return { kind: 'settled', printed: [], facts, outcome, summary, next };
  }
  const argv = await dstack.check(removal.command);
  if (!hasEffect(argv, 'destroy')) throw new TypeError(`${argv.command} --yes must count as destructive`);
  const { action, losses, moreLosses = [], affected } = inspection;
  const cli = await dstack.cli();
  const requests = cli.isPython ? [removal.sends] : undefined;
  return {
    kind: 'ready',
    printed: inspection.showsOutput ? [found.transcript] : [],
    summary: `${action}? ${losses.join('; ')}. ${nothingWas(operation)} yet.`,
    facts,
    next: `Show this to the user. Only after they approve, call ${request.tool} with only the token.`,
    pending: bindChange({
      request,
      operation,
      argv,
      resource,
      endpoint,
      cliVersion: cli.version,
      requests,
      present: found.id,
      ...(affected === undefined ? {} : { affected }),
      ...(removal.files === undefined ? {} : { files: removal.files }),
      shown: { action, losses: [...losses, ...moreLosses], warnings: [] },
    }),
    // Not the state before the change: it's looked up afterwards.
    execution: {
      ...removal.execution,
      argv,
      resource: wanted,
      effect:
        operation === 'delete'
          ? { kind: 'deleted', id: found.id, instance: removal.instance }
          : { kind: 'stopped', id: found.id },
      facts: { operation, resource, project },
      requests,
    },
  };
}

const nothingWas = (operation: Removal['operation']): string =>
  operation === 'delete' ? 'Nothing was deleted' : 'Nothing was stopped';

const LISTED_BY: Readonly<Record<ResourceKind, string>> = {
  fleet: 'The fleet tool lists the fleets.',
  run: 'ps with `all` lists the runs.',
  volume: 'list with kind volume returns the names.',
  gateway: 'list with kind gateway returns the names.',
};

const notFound = ({ kind, name, operation }: Removal): ToolError =>
  new ToolError('invalid-name', `There is no ${kind} ${name}. ${nothingWas(operation)}.`, LISTED_BY[kind]);
