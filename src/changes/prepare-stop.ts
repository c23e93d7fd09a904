import type { StopRequest, StopSeveral } from '../core/change.ts';
import { formatDollars, formatPrice, joinParts, plural } from '../core/values.ts';
import type { Outcome, Report } from '../core/report.ts';
import type { KnownResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import type { ChangeFacts } from './change-facts.ts';
import { SHOW } from './planned-change.ts';
import { stopRequest } from './expected-requests.ts';
import type { PlanScope, PreparedChange, ReadyChange, SettledPlan, SeveralPlan } from './planned-change.ts';
import { prepareRemoval } from './prepare-removal.ts';
import type { Inspection } from './prepare-removal.ts';

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

/** Plans the stop of several runs. Those that have finished are left out; a name without a run refuses all. */
export async function planStops(
  scope: PlanScope,
  { runs, project }: StopSeveral,
): Promise<SeveralPlan | ReadyChange | SettledPlan> {
  const planned = await Promise.all(
    runs.map(async (run) => (await prepareStop(scope, { tool: 'stop', run, abort: false, project })).plan()),
  );
  const ready = planned.filter((one) => one.kind === 'ready');
  const finished = planned.filter((one) => one.kind === 'settled').map(({ summary }) => summary);
  const [first, second] = ready;
  if (first === undefined) return allFinished(finished);
  if (second === undefined) return { ...first, summary: [...finished, first.summary].join(' ') };
  const parts = ready.map(({ pending }) => pending);
  const names = parts.map(({ binding }) => binding.resource.name ?? '');
  const resource = { kind: 'runs', name: names.join(', ') };
  const { binding, summary, operation } = first.pending;
  const losses = parts.flatMap((part) => part.summary.losses);
  const action = `Stop ${plural(parts.length, 'run')}`;
  return {
    kind: 'several',
    printed: [],
    summary: [...finished, `${action}, ${joinParts(names)}? Nothing was stopped yet.`].join(' '),
    details: losses,
    facts: { operation, resource, project: binding.project },
    next: SHOW,
    pending: {
      request: { tool: 'stop', runs: names, project },
      operation,
      // Each part has its own command.
      argv: [],
      binding: { ...binding, resource, present: null, affected: names, requests: null },
      summary: { ...summary, action, resource, losses },
      parts,
    },
  };
}

const allFinished = (summaries: readonly string[]): SettledPlan => ({
  kind: 'settled',
  outcome: 'nothing-to-do',
  printed: [],
  summary: summaries.join(' '),
  facts: { operation: 'stop' },
  next: 'See what they printed with logs.',
});

/** The end of one of several changes. */
export interface PartEnd {
  readonly name: string;
  readonly report: Report<ChangeFacts>;
}

/** Reports the stop of several runs: the outcome of each, and of all. */
export function reportStops(ends: readonly PartEnd[]): Report<ChangeFacts> {
  const stopped = ends.filter(({ report }) => report.outcome === 'done');
  const others = ends.filter((end) => !stopped.includes(end));
  const { project, operation, consent } = ends[0]?.report.facts ?? {};
  return {
    outcome: worst(others),
    summary: `Stopped ${stopped.length} of ${plural(ends.length, 'run')}.`,
    details: ends.map(({ name, report }) => `${name}: ${report.outcome}. ${report.summary}`),
    printed: others.flatMap(({ report }) => report.printed),
    facts: {
      ...(project === undefined ? {} : { project }),
      ...(operation === undefined ? {} : { operation }),
      ...(consent === undefined ? {} : { consent }),
      resource: { kind: 'runs', name: ends.map(({ name }) => name).join(', ') },
      runs: ends.map(({ name, report: { outcome, facts } }) => ({
        name,
        outcome,
        ...(facts.status === undefined ? {} : { status: facts.status }),
      })),
    },
    next:
      others.find(({ report }) => report.next !== undefined)?.report.next ??
      'Stopping may take a while: check with ps.',
  };
}

const worst = (others: readonly PartEnd[]): Outcome => {
  if (others.length === 0) return 'done';
  return others.some(({ report }) => report.outcome === 'unknown') ? 'unknown' : 'failed';
};
