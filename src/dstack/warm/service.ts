import type { Log } from '../../core/log.ts';
import { CHANGE_LIMIT_MS, createCommandQueue } from '../run/command-call.ts';
import type { Executable } from '../run/runner.ts';
import { runWarmCall } from './call.ts';
import type { Attempt, WarmCall } from './call.ts';
import { WarmKeeper } from './keeper.ts';
import type { LastUsed, WorkerState } from './keeper.ts';
import type { WorkerInfo } from './channel.ts';
import { startSparePool } from './spare-pool.ts';
import { startWarmWorker } from './worker.ts';
import type { WarmWorker } from './worker.ts';

export const DEFAULT_WARM_LIMITS = {
  /** The worker ends after this long without a command. */
  idleMs: 5 * 60_000,
  /** It ends after this long if another server of this user has run a command since. */
  idleElsewhereMs: 30_000,
  maxConcurrent: 8,
  maxQueued: 256,
  /** Bytes of each stream to keep, from both ends. */
  keepBytes: 4_194_304,
  /** Time for a command to exit after SIGTERM. */
  graceMs: 2_000,
  startTimeoutMs: 60_000,
  /** Time after its start during which commands wait for the worker. A plain process loads the same code and would hardly be faster. */
  patienceMs: 15_000,
  /** Time for a child to acknowledge a request. */
  handOverMs: 3_000,
  /** A busy worker that is silent for this long is pinged, and has as long to answer. */
  silenceMs: 5_000,
  /** Time for a change to finish, even after this server has ended. */
  changeLimitMs: CHANGE_LIMIT_MS,
  /** Time for dstack to answer a question about itself (help, schemas, validation), in the worker or a process. */
  introspectionMs: 30_000,
  /** After this many deaths within the period, no worker is started for a while. */
  maxDeaths: 3,
  deathPeriodMs: 120_000,
  giveUpMs: 10 * 60_000,
};

/** The limits of the worker. */
export type WarmLimits = Readonly<typeof DEFAULT_WARM_LIMITS>;

/** `spare`: spare processes where forks would be possible, too. */
export type WarmSetting = 'on' | 'off' | 'spare';

/** The most commands that run in spare processes at a time. Each has all of dstack in its own memory. */
const MAX_SPARES = 4;

export interface WarmServiceOptions {
  readonly executable: Executable;
  readonly workerFiles: string;
  /** The environment of the commands. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly lastUsed: LastUsed;
  readonly mode: WarmSetting;
  readonly platform: NodeJS.Platform;
  readonly limits: WarmLimits;
}

/** The worker and its queue. */
export interface WarmService {
  readonly state: WorkerState;
  readonly starts: number;
  warmUp(): void;
  /** Resolves with the worker that the next call runs in, which it starts if need be; undefined if that call gets a plain process. */
  current(): Promise<WarmWorker | undefined>;
  /**
   * Runs a call in the worker, or returns why it can't.
   * @throws ToolError `busy` if too many calls are waiting; what the consent of a change throws.
   */
  attempt(call: WarmCall, env: Readonly<Record<string, string>>): Promise<Attempt>;
  close(): Promise<void>;
}

/** Creates the service. The worker starts with the first call that needs it. */
export function createWarmService(options: WarmServiceOptions): WarmService {
  const { executable, env, log, limits, workerFiles } = options;
  const kind = chooseWorker(options);
  const start = async (closing: AbortSignal): Promise<WarmWorker> => {
    const { path, interpreter = '' } = executable;
    const startWorker = kind.kind === 'fork' ? startWarmWorker : startSparePool;
    return startWorker({ executable: path, interpreter, workerFiles, env, log, ...limits }, closing);
  };
  const maxConcurrent = kind.kind === 'fork' ? limits.maxConcurrent : Math.min(limits.maxConcurrent, MAX_SPARES);
  const queue = createCommandQueue(maxConcurrent, limits.maxQueued);
  const keeper = new WarmKeeper({
    ...limits,
    log,
    lastUsed: options.lastUsed,
    off: kind.kind === 'none' ? kind.why : undefined,
    start,
  });

  const attempt = async (call: WarmCall, wantedEnv: Readonly<Record<string, string>>): Promise<Attempt> => {
    const worker = await call.limit.race(keeper.acquire());
    if (typeof worker === 'string') return { kind: 'interrupted' };
    if (worker === undefined) return { kind: 'fallback', why: describeAbsence(keeper.state) };
    const fit = fitEnvironment(worker.info, env, wantedEnv);
    if (fit.kind === 'differs') return { kind: 'fallback', why: `${fit.name} is read on import` };

    const usage = keeper.use();
    try {
      const run = () => runWarmCall(call, { worker, mode: fit.kind, env: fit.changed, ...limits });
      return (await queue.run(call.limit.signal, run)) ?? { kind: 'interrupted' };
    } finally {
      usage.release();
    }
  };
  return {
    get state() {
      return keeper.state;
    },
    get starts() {
      return keeper.starts;
    },
    warmUp: () => keeper.warmUp(),
    current: () => keeper.acquire(),
    attempt,
    close: () => keeper.close(),
  };
}

/** The way in which commands run warm: forks of one worker, or spare processes. */
export type WorkerKind = { readonly kind: 'fork' | 'spare' } | { readonly kind: 'none'; readonly why: string };

/** Chooses how commands run warm on this system. */
export function chooseWorker({
  mode,
  platform,
  executable,
}: Pick<WarmServiceOptions, 'mode' | 'platform' | 'executable'>): WorkerKind {
  if (mode === 'off') return { kind: 'none', why: 'it is turned off' };
  if (executable.interpreter === undefined)
    return {
      kind: 'none',
      why: `no Python script is known: ${executable.path}: ${executable.notPython ?? 'it is a program'}`,
    };
  // macOS: its system libraries can't be used in a fork of a process that has used them. Windows has no fork.
  return { kind: mode === 'spare' || platform !== 'linux' ? 'spare' : 'fork' };
}

function describeAbsence(state: WorkerState): string {
  if ('why' in state) return state.why;
  return state.kind === 'starting' ? 'it is still starting' : 'it could not be started';
}

/** Which kind of child can run a command, given the environment that the command needs. */
export type EnvironmentFit =
  | { readonly kind: 'parked' | 'shallow'; readonly changed: Readonly<Record<string, string>> }
  /** A variable that is read on import differs: only a new process reads it again. */
  | { readonly kind: 'differs'; readonly name: string };

/** From this width up, the parsers are the same: argparse only wraps the usage of a command group by it. */
const PARSER_WIDTH = 60;

/** Compares a command's variables with those that the worker was started with. */
export function fitEnvironment(
  info: Pick<WorkerInfo, 'bakedAtImport' | 'bakedAtPark'>,
  base: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
  platform: NodeJS.Platform = process.platform,
): EnvironmentFit {
  // Names are case-insensitive on Windows, where Python knows them in upper case.
  const toKey = (name: string): string => (platform === 'win32' ? name.toUpperCase() : name);
  const known = new Map(Object.entries(base).map(([name, value]) => [toKey(name), value]));
  const differs = ([name, value]: readonly [string, string]): boolean => known.get(toKey(name)) !== value;
  const changed = Object.fromEntries(Object.entries(wanted).filter(differs));
  const names = Object.keys(changed).map(toKey);
  const differing = names.find((name) => matches(name, info.bakedAtImport));
  if (differing !== undefined) return { kind: 'differs', name: differing };
  const inParsers = names.some(
    (name) => matches(name, info.bakedAtPark) && !isHarmlessWidth(name, known.get(name), changed[name]),
  );
  return { kind: inParsers ? 'shallow' : 'parked', changed };
}

const matches = (name: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));

const isHarmlessWidth = (name: string, before = '', after = ''): boolean =>
  name === 'COLUMNS' && Number(before) >= PARSER_WIDTH && Number(after) >= PARSER_WIDTH;
