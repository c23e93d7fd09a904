import type { StopRequest } from '../core/change.ts';
import { formatDollars, formatPrice } from '../core/format-values.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-run.ts';
import type { RunFacts } from '../dstack/output/read-run.ts';
import { stopRequest } from './expected-requests.ts';
import { prepareRemoval } from './prepare-removal.ts';
import type { Inspection } from './prepare-removal.ts';
import type { PlanScope, PreparedChange } from './planned-change.ts';

/** Prepares the stop of a run. */
export function prepareStop(scope: PlanScope, request: StopRequest): Promise<PreparedChange> {
  const { run: name, abort, project } = request;
  return prepareRemoval(scope, {
    request,
    operation: abort ? 'abort' : 'stop',
    kind: 'run',
    name,
    resource: { kind: 'run', name },
    command: {
      command: 'stop',
      flags: { '--yes': true, '--abort': abort, '--project': project },
      positionals: [name],
    },
    sends: stopRequest(name, abort),
    inspect: (found) => inspectRun(found, request),
  });
}

function inspectRun(found: KnownResource, { run: name, abort }: StopRequest): Inspection {
  const run = readRun(found.value);
  const { status, pricePerHour } = run;
  const facts = { status, ...(pricePerHour === undefined ? {} : { pricePerHour }) };
  if (run.isFinished) {
    return {
      kind: 'settled',
      facts,
      outcome: 'nothing-to-do',
      summary: `Run ${name} is already ${status}: there is nothing to stop.`,
      next: 'See what it printed with logs.',
    };
  }
  return {
    kind: 'removable',
    action: `${abort ? 'Abort' : 'Stop'} run ${name}`,
    losses: [describeRun(run)],
    moreLosses: abort ? ['it gets no time to save anything'] : [],
    facts,
    showsOutput: false,
  };
}

function describeRun(run: RunFacts): string {
  const parts = [
    `${run.kind ?? 'run'} ${run.name} is ${run.statusMessage ?? run.status}`,
    ...(run.submittedAt === undefined ? [] : [`submitted ${run.submittedAt}`]),
    ...(run.gpu === undefined ? [] : [run.gpu]),
    ...(run.pricePerHour === undefined ? [] : [formatPrice(run.pricePerHour)]),
    ...(run.costUsd === undefined ? [] : [`cost so far ${formatDollars(run.costUsd)}`]),
  ];
  return parts.join(', ');
}
