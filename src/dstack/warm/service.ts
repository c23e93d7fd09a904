import pLimit from 'p-limit';
import { ToolError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Executable } from '../run/executable.ts';
import type { Interrupted } from '../run/interruption.ts';
import { runWarmCall } from './call.ts';
import type { Attempt, WarmCall } from './call.ts';
import { fitEnvironment } from './environment.ts';
import { createWarmKeeper } from './keeper.ts';
import type { WorkerState } from './keeper.ts';
import { startWarmWorker } from './worker.ts';

/** The limits of the worker. Each has a default. */
export interface WarmLimits {
  /** The worker ends after this long without a command. */
  readonly idleMs: number;
  readonly maxConcurrent: number;
  readonly maxQueued: number;
  /** How much of each stream is kept, from its two ends. */
  readonly keepBytes: number;
  /** How long a command may take to end after it was asked to. */
  readonly graceMs: number;
  readonly startTimeoutMs: number;
  /** How long after its start a command still waits for the worker: a plain process loads the same code, and begun later it is hardly there sooner. */
  readonly patienceMs: number;
  /** How long a child may take to acknowledge a request. */
  readonly handOverMs: number;
  /** How long a busy worker may be silent before it is asked for a sign of life, and may take to give it. */
  readonly silenceMs: number;
  /** How long dstack may take to tell of itself (its help, its schemas, what it thinks of a file), warm or in a process. */
  readonly introspectionMs: number;
  /** This many deaths within the period, and no worker is started for some time. */
  readonly maxDeaths: number;
  readonly deathPeriodMs: number;
  readonly giveUpMs: number;
}

export const DEFAULT_WARM_LIMITS: WarmLimits = {
  idleMs: 15 * 60_000,
  maxConcurrent: 8,
  maxQueued: 256,
  keepBytes: 4_194_304,
  graceMs: 2_000,
  startTimeoutMs: 60_000,
  patienceMs: 15_000,
  handOverMs: 3_000,
  silenceMs: 5_000,
  introspectionMs: 30_000,
  maxDeaths: 3,
  deathPeriodMs: 120_000,
  giveUpMs: 10 * 60_000,
};

export interface WarmServiceOptions {
  readonly executable: Executable;
  readonly workerFiles: string;
  /** The environment of the commands. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly enabled: boolean;
  readonly platform: NodeJS.Platform;
  readonly limits: WarmLimits;
}

/** The worker with its queue. */
export interface WarmService {
  readonly state: WorkerState;
  readonly starts: number;
  warmUp(): void;
  /**
   * Runs a call in the worker, or tells why it didn't.
   * @throws ToolError `busy` when too many wait already; whatever `beforeGo` throws.
   */
  attempt(call: WarmCall, env: Readonly<Record<string, string>>): Promise<Attempt>;
  close(): Promise<void>;
}

/** Creates the service; nothing is started before it is needed. */
export function createWarmService(options: WarmServiceOptions): WarmService {
  const { executable, env, log, limits, workerFiles } = options;
  const slots = pLimit(limits.maxConcurrent);
  const off = whyOff(options);
  const start = async (): Promise<Awaited<ReturnType<typeof startWarmWorker>>> => {
    const { path, interpreter = '' } = executable;
    return startWarmWorker({ executable: path, interpreter, workerFiles, env, log, ...limits });
  };
  const keeper = createWarmKeeper({ ...limits, log, off, start });

  const attempt = async (call: WarmCall, wantedEnv: Readonly<Record<string, string>>): Promise<Attempt> => {
    if (slots.pendingCount >= limits.maxQueued) throw busy(limits.maxQueued);
    const worker = await Promise.race([keeper.acquire(), call.interruption.happened]);
    if (typeof worker === 'string') return { kind: 'interrupted' };
    if (worker === undefined) return { kind: 'stepped-aside', why: describeAbsence(keeper.state) };
    const fit = fitEnvironment(worker.info, env, wantedEnv);
    if (fit.kind === 'differs') return { kind: 'stepped-aside', why: `${fit.name} is read on import` };

    const hold = keeper.hold();
    let stage: 'waiting' | 'begun' | Interrupted = 'waiting';
    const turn = slots(async (): Promise<Attempt> => {
      if (stage !== 'waiting') return { kind: 'interrupted' };
      stage = 'begun';
      return runWarmCall(call, { worker, mode: fit.kind, env: fit.changed, ...limits });
    });
    const release = (): void => hold.release();
    turn.then(release, release);
    const givenUp = call.interruption.happened.then((how): Attempt | Promise<Attempt> => {
      if (stage === 'begun') return turn;
      stage = how;
      return { kind: 'interrupted' };
    });
    return Promise.race([turn, givenUp]);
  };
  return {
    get state() {
      return keeper.state;
    },
    get starts() {
      return keeper.starts;
    },
    warmUp: () => keeper.warmUp(),
    attempt,
    close: () => keeper.close(),
  };
}

function whyOff({ enabled, platform, executable }: WarmServiceOptions): string | undefined {
  if (!enabled) return 'it is switched off';
  // macOS: its system libraries don't bear a fork after they were used. Windows has no fork.
  if (platform !== 'linux') return `it needs Linux, and this is ${platform}`;
  if (executable.interpreter === undefined) return `${executable.path} is not a Python script`;
  return undefined;
}

function describeAbsence(state: WorkerState): string {
  if ('why' in state) return state.why;
  return state.kind === 'starting' ? 'it takes long to start' : 'it could not be started';
}

const busy = (maxQueued: number): ToolError =>
  new ToolError(
    'busy',
    `${maxQueued} dstack commands are waiting already. Nothing was run.`,
    'Wait for the running calls, then call again.',
  );
