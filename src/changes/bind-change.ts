import type { Binding, ChangeRequest, ConsentSummary, Operation, PendingChange } from '../core/change.ts';
import { describeCost } from '../core/cost.ts';
import type { Cost } from '../core/cost.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { Endpoint } from '../dstack/client/read-dstack-config.ts';
import type { ExpectedChange } from '../dstack/run/wire-rule.ts';
import { bindRequests } from './expected-requests.ts';

/** Everything that consent to a change is bound to, and what the person is shown. */
export interface ChangeToBind {
  readonly request: ChangeRequest;
  readonly operation: Operation;
  readonly argv: CheckedArgv;
  readonly resource: Binding['resource'];
  readonly endpoint: Endpoint;
  readonly cliVersion: string;
  readonly requests: readonly ExpectedChange[] | undefined;
  /** The id of the existing resource; null if there is none. */
  readonly present: string | null;
  readonly affected?: readonly string[];
  /** The working directory and the hashes of the files that decide what happens. */
  readonly files?: { readonly cwd: string; readonly hashes: Readonly<Record<string, string>> };
  /** Absent for a change that costs nothing. */
  readonly cost?: Cost;
  readonly shown: Pick<ConsentSummary, 'action' | 'machine' | 'losses' | 'warnings' | 'flags' | 'access' | 'sends'>;
  /** Whether it starts something that can reach the dstack server. */
  readonly reachesServer?: boolean;
}

/** Binds a change: the one place that decides what a token stands for. */
export function bindChange(change: ChangeToBind): PendingChange {
  const { request, operation, argv, resource, endpoint, present, affected = [], files, cost, shown } = change;
  const { project, server } = endpoint;
  return {
    request,
    operation,
    argv: argv.argv,
    ...(change.reachesServer === true ? { reachesServer: true } : {}),
    binding: {
      tool: request.tool,
      resource,
      project,
      server,
      cwd: files?.cwd ?? '',
      files: files?.hashes ?? {},
      present,
      affected,
      pricePerHour: cost?.pricePerHour ?? null,
      mostPerHour: typeof cost?.mostPerHour === 'number' ? cost.mostPerHour : null,
      cliVersion: change.cliVersion,
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
