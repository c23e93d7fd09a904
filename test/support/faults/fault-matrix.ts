import type { Fault } from '../faulty-server.ts';
import { task } from '../test-home.ts';
import { countRuns, countResources, hasNodes, hasPriority, isDeleted, isStopped, runsOf } from './server-truth.ts';

// The matrix: a change, the moment of a fault in it, and the fault. From these follows what must be true afterwards of dstack's
// server, the outcome, the audit log, the processes and the files.

type Configuration = Readonly<Record<string, unknown>>;

/** A change, and how often dstack's server has made it, by its own API. */
export interface FaultyChange {
  readonly what: string;
  /** Applied first, without a fault. */
  readonly before?: (name: string) => Configuration;
  /** The file that is planned and applied, or deleted. */
  readonly file?: (name: string) => Configuration;
  /** The call that previews it. Defaults to `plan` with the file. */
  readonly preview?: (name: string) => readonly [tool: 'stop' | 'delete', input: Readonly<Record<string, unknown>>];
  /** The request that makes it. */
  readonly request: RegExp;
  readonly made: (name: string) => Promise<number>;
}

const echo = (name: string, word: string, more: Configuration = {}): Configuration =>
  task(name, { commands: [`echo ${name} ${word}`, 'sleep infinity'], ...more });

const unnamed = (name: string): Configuration => {
  const { name: _name, ...rest } = echo(name, 'first');
  return rest;
};

const fleet = (name: string, nodes = '0..1'): Configuration => ({
  type: 'fleet',
  name,
  nodes,
  backends: ['cloudrift'],
});

const volume = (name: string): Configuration => ({
  type: 'volume',
  name,
  backend: 'runpod',
  region: 'EU-RO-1',
  size: '100GB',
});

// The sandbox has no machine for it, so it fails. It must not become the gateway of other tests' services.
const gateway = (name: string): Configuration => ({
  type: 'gateway',
  name,
  backend: 'runpod',
  region: 'EU-RO-1',
  default: false,
});

const ended = (name: string): Configuration => task(name, { commands: [`echo ${name}`] });

const APPLY_RUN = /\/runs\/apply$/;
const APPLY_FLEET = /\/fleets\/apply$/;
const STOP = /\/runs\/stop$/;
const first = (name: string): Configuration => echo(name, 'first');
const created = (name: string): Promise<number> => countRuns(name, 'first');

export const CHANGES: readonly FaultyChange[] = [
  { what: 'create a task', file: first, request: APPLY_RUN, made: created },
  { what: 'create a task without a name', file: unnamed, request: APPLY_RUN, made: created },
  {
    what: 'create a service',
    file: (name) => ({ ...first(name), type: 'service', port: 8000 }),
    request: APPLY_RUN,
    made: created,
  },
  {
    what: 'create a dev environment',
    file: (name) => ({ ...task(name), type: 'dev-environment', commands: undefined, ide: 'vscode' }),
    request: APPLY_RUN,
    made: async (name) => (await runsOf(name)).length,
  },
  { what: 'create a fleet', file: fleet, request: APPLY_FLEET, made: (name) => hasNodes(name, 1) },
  {
    what: 'create a volume',
    file: volume,
    request: /\/volumes\/create$/,
    made: (name) => countResources('volumes', name),
  },
  {
    what: 'create a gateway',
    file: gateway,
    request: /\/gateways\/apply$/,
    made: (name) => countResources('gateways', name),
  },
  {
    what: 'update a task',
    before: first,
    file: (name) => echo(name, 'first', { priority: 7 }),
    request: APPLY_RUN,
    made: (name) => hasPriority(name, 7),
  },
  {
    what: 'update a fleet',
    before: fleet,
    file: (name) => fleet(name, '0..2'),
    request: APPLY_FLEET,
    made: (name) => hasNodes(name, 2),
  },
  {
    what: 'replace a task',
    before: first,
    file: (name) => echo(name, 'second'),
    request: APPLY_RUN,
    made: (name) => countRuns(name, 'second'),
  },
  { what: 'stop a task', before: first, preview: (run) => ['stop', { run }], request: STOP, made: isStopped },
  {
    what: 'abort a task',
    before: first,
    preview: (run) => ['stop', { run, abort: true }],
    request: STOP,
    made: isStopped,
  },
  {
    what: 'delete a fleet',
    before: fleet,
    preview: (name) => ['delete', { type: 'fleet', name }],
    request: /\/fleets\/delete$/,
    made: (name) => isDeleted('fleets', name),
  },
  {
    what: 'delete a volume',
    before: volume,
    preview: (name) => ['delete', { type: 'volume', name }],
    request: /\/volumes\/delete$/,
    made: (name) => isDeleted('volumes', name),
  },
  {
    what: 'delete a gateway',
    before: gateway,
    preview: (name) => ['delete', { type: 'gateway', name }],
    request: /\/gateways\/delete$/,
    made: (name) => isDeleted('gateways', name),
  },
  {
    what: 'delete a run',
    before: ended,
    file: ended,
    preview: (name) => ['delete', { file: `${name}.dstack.yml` }],
    request: /\/runs\/delete$/,
    made: (name) => isDeleted('runs', name),
  },
];

/** A broken connection to dstack's server, or something that ends while the server's response is held back. */
export type Act = Fault | Ending | { readonly kind: 'none' };

/** Something that ends while dstack's server works on the request. */
export interface Ending {
  readonly kind: 'SIGTERM' | 'SIGKILL' | 'end-of-input' | 'kill-dstack' | 'cancel';
}

/** A fault, and what must be true afterwards. */
export interface MatrixFault {
  readonly what: string;
  /** The request that meets it: one that reads the current state first, the change itself, or one that reads the state after it. */
  readonly moment: 'plan' | 'change' | 'look-up';
  readonly act: Act;
  /** How often the change is made: dstack's server must say the same. */
  readonly made: 0 | 1;
  /** The outcomes that may be reported; none if nobody is left to hear it. */
  readonly outcomes: readonly string[];
  /** Why nobody can look it up, so that `unknown` is right, too. */
  readonly unknownBecause?: string;
  /** How often it is tried, compared with the others. Defaults to 2. */
  readonly weight?: number;
}

const BROKEN = { kind: 'status', status: 500, body: '{}' } as const;
const BAD_GATEWAY = { kind: 'status', status: 502, body: '<html>Bad gateway</html>', type: 'text/html' } as const;

export const FAULTS: readonly MatrixFault[] = [
  // dstack itself can take back the stop of a run that has just been submitted.
  { what: 'nothing', moment: 'change', act: { kind: 'none' }, made: 1, outcomes: ['done'] },
  { what: 'the server fails', moment: 'plan', act: BROKEN, made: 0, outcomes: ['failed'] },
  { what: 'the connection breaks', moment: 'plan', act: { kind: 'reset' }, made: 0, outcomes: ['failed'] },
  { what: 'SIGTERM', moment: 'plan', act: { kind: 'SIGTERM' }, made: 0, outcomes: [] },
  { what: 'SIGKILL', moment: 'plan', act: { kind: 'SIGKILL' }, made: 0, outcomes: [] },
  { what: 'the client goes', moment: 'plan', act: { kind: 'end-of-input' }, made: 0, outcomes: [] },
  {
    what: 'the response is lost',
    moment: 'change',
    act: { kind: 'lose-answer' },
    made: 1,
    outcomes: ['done'],
    weight: 4,
  },
  { what: 'the response breaks off', moment: 'change', act: { kind: 'half-answer' }, made: 1, outcomes: ['done'] },
  { what: 'the request is lost', moment: 'change', act: { kind: 'reset' }, made: 0, outcomes: ['failed'] },
  { what: 'the server fails', moment: 'change', act: BROKEN, made: 0, outcomes: ['failed'] },
  { what: 'a proxy fails', moment: 'change', act: BAD_GATEWAY, made: 0, outcomes: ['failed'] },
  {
    what: 'the server hangs',
    moment: 'change',
    act: { kind: 'hang' },
    made: 0,
    outcomes: ['failed'],
    unknownBecause: 'the request is still open',
    weight: 1,
  },
  { what: 'SIGTERM', moment: 'change', act: { kind: 'SIGTERM' }, made: 1, outcomes: [], weight: 3 },
  { what: 'SIGKILL', moment: 'change', act: { kind: 'SIGKILL' }, made: 1, outcomes: [], weight: 3 },
  { what: 'the client goes', moment: 'change', act: { kind: 'end-of-input' }, made: 1, outcomes: [], weight: 3 },
  { what: 'dstack is killed', moment: 'change', act: { kind: 'kill-dstack' }, made: 1, outcomes: ['done'], weight: 3 },
  { what: 'the call is canceled', moment: 'change', act: { kind: 'cancel' }, made: 1, outcomes: [], weight: 3 },
  {
    what: 'the state cannot be looked up',
    moment: 'look-up',
    act: { kind: 'reset' },
    made: 1,
    outcomes: ['done'],
    unknownBecause: 'the state cannot be looked up',
    weight: 1,
  },
];
