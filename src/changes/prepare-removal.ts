import type { Binding, DeleteRequest, KnownPart, Operation, StopRequest } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CommandRequest } from '../dstack/argv/command.ts';
import { commandFailed } from '../dstack/client/dstack-client.ts';
import { findResource, readLookUp } from '../dstack/client/find-resource.ts';
import type { KnownResource, ResourceKind } from '../dstack/client/find-resource.ts';
import { readFailure, readOutcome } from '../dstack/output/read-outcome.ts';
import type { ExpectedChange } from '../dstack/run/runner.ts';
import type { ChangeCommand, PlannedChange, PlanScope, PreparedChange, SettledPlan } from './planned-change.ts';
import { bindChange } from './bind-change.ts';
import { SHOW } from './preview-report.ts';
import { endedWithoutChange } from './execute-change.ts';

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
      const found = readLookUp(held, removal);
      if (found === 'none') throw notFound(removal);
      if (found === undefined) throw notLookedUp(removal);
      return planRemoval({ removal, known, requests }, found, []);
    },
    async explainEnd(transcript) {
      const failure = readFailure(transcript);
      if (failure?.code === 'not-found') return notFound(removal);
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
  volume: 'list with kind volume returns the names.',
  gateway: 'list with kind gateway returns the names.',
};

const notFound = ({ kind, name, operation }: Removal): ToolError =>
  new ToolError('invalid-name', `There is no ${kind} ${name}. ${nothingWas(operation)}.`, LISTED_BY[kind]);
