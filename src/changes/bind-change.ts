import type { Binding, ConsentSummary, KnownPart, OneChange, Operation, PendingPart } from '../core/change.ts';
import { describeCost } from '../core/format-values.ts';
import type { Cost } from '../core/format-values.ts';
import type { ExpectedChange } from '../dstack/run/runner.ts';
import { bindRequests } from './expected-requests.ts';

/** Everything that consent to a change is bound to, and what the person is shown. */
export interface ChangeToBind {
  readonly request: OneChange;
  readonly operation: Operation;
  readonly known: KnownPart;
  readonly resource: Binding['resource'];
  readonly requests: readonly ExpectedChange[] | undefined;
  /** The id of the existing resource; null if there is none. */
  readonly present: string | null;
  readonly affected?: readonly string[];
  /** Absent for a change that costs nothing. */
  readonly cost?: Cost;
  readonly shown: Pick<ConsentSummary, 'action' | 'machine' | 'losses' | 'warnings' | 'flags' | 'access' | 'sends'>;
  /** Whether it starts something that can reach the dstack server. */
  readonly reachesServer?: boolean;
}

/** Binds a change: the one place that decides what a token stands for. */
export function bindChange(change: ChangeToBind): PendingPart {
  const { request, operation, known, resource, present, affected = [], cost, shown } = change;
  const { project, server } = known.binding;
  return {
    request,
    operation,
    argv: known.argv,
    ...(change.reachesServer === true ? { reachesServer: true } : {}),
    binding: {
      ...known.binding,
      tool: request.tool,
      resource,
      present,
      affected,
      pricePerHour: cost?.pricePerHour ?? null,
      mostPerHour: typeof cost?.mostPerHour === 'number' ? cost.mostPerHour : null,
      requests: bindRequests(change.requests),
    },
    summary: {
      ...shown,
      resource,
      project,
      server,
      ...(cost === undefined
        ? {}
        : { price: describeCost(cost), pricePerHour: cost.pricePerHour, totalPrice: cost.mostInTotal }),
    },
  };
}
