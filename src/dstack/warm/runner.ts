import { performance } from 'node:perf_hooks';
import type { Log } from '../../core/log.ts';
import type { Exit, Transcript } from '../../core/transcript.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import { showCommand } from '../argv/command.ts';
import type { CheckedArgv } from '../argv/command.ts';
import { createCallLimit, exitBeforeStart, outlivesCall, startCall, toTranscript } from '../run/command-call.ts';
import type { CallLimit, CommandCall } from '../run/command-call.ts';
import { HeldChange } from '../run/runner.ts';
import type { Approve, Executable, Runner, RunOptions } from '../run/runner.ts';
import { cliEnvironment } from '../run/spawn-dstack.ts';
import type { Attempt, WarmCall } from './call.ts';
import { createIntrospection } from './introspection.ts';
import type { Introspection } from './introspection.ts';
import type { LastUsed, WorkerState } from './keeper.ts';
import { createWarmService, DEFAULT_WARM_LIMITS } from './service.ts';
import type { WarmLimits, WarmService, WarmSetting } from './service.ts';

export interface WarmRunnerOptions {
  readonly executable: Executable;
  /** The folder with the Python side. */
  readonly workerFiles: string;
  /** The environment from which dstack's is made, as for the plain runner. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs what the worker can't, and everything where there is no worker. */
  readonly plain: Runner;
  /** Called when a consent was spent, right before its command may change something. Defaults to nothing. */
  readonly onSpent?: (() => void) | undefined;
  readonly log: Log;
  /** Shared with the other servers of this user. */
  readonly lastUsed: LastUsed;
  /** Defaults to `on`. */
  readonly mode?: WarmSetting;
  readonly platform?: NodeJS.Platform;
  readonly limits?: Partial<WarmLimits>;
}

/** The state of the worker, as `doctor` shows it. */
export interface WarmStatus {
  readonly kind: WorkerState['kind'];
  /** Number of workers started so far. */
  readonly starts: number;
  /** Why there is no worker. */
  readonly why?: string;
  readonly pids?: readonly number[];
  /** The version of dstack that it imported. */
  readonly version?: string;
  readonly python?: string;
  readonly warmCommands: number;
  /** Number of commands that ran as plain processes, by reason. */
  readonly plainCommands: Readonly<Record<string, number>>;
}

/** A runner that keeps dstack warm. */
export interface WarmRunner extends Runner {
  readonly introspection: Introspection;
  state(): WarmStatus;
  /** Starts the worker in the background. */
  warmUp(): void;
}

/** Commands that block, serve or open a browser. They always get their own process. */
const ALWAYS_PLAIN: ReadonlySet<string> = new Set(['attach', 'server', 'login']);

/** Creates the runner that runs commands in a warm dstack process, and in the plain runner whenever that isn't possible. */
export const createWarmRunner = (options: WarmRunnerOptions): WarmRunner => new WarmDstackRunner(options);

class WarmDstackRunner implements WarmRunner {
  readonly introspection: Introspection;
  readonly #options: WarmRunnerOptions;
  readonly #limits: WarmLimits;
  readonly #service: WarmService;
  readonly #closing = new AbortController();
  readonly #active = new Set<Promise<unknown>>();
  readonly #plainCommands = new Map<string, number>();
  #warmCommands = 0;

  constructor(options: WarmRunnerOptions) {
    const { executable, workerFiles, log, lastUsed, mode = 'on', platform = process.platform } = options;
    const env = cliEnvironment(options.env);
    this.#options = options;
    this.#limits = { ...DEFAULT_WARM_LIMITS, ...options.limits };
    this.#service = createWarmService({
      executable,
      workerFiles,
      env,
      log,
      lastUsed,
      mode,
      platform,
      limits: this.#limits,
    });
    this.introspection = createIntrospection({
      askWarm: (task, input) => this.#askWarm(task, input),
      currentWorker: () => this.#service.current(),
      executable,
      workerFiles,
      env,
      log,
      timeoutMs: this.#limits.introspectionMs,
      closing: this.#closing.signal,
    });
  }

  read(argv: CheckedArgv<'read'>, options: CommandCall['options']): Promise<Transcript> {
    return this.#track(argv, options, async (call) => {
      if (argv.effect !== 'read') throw new TypeError(`not a read-only command: ${showCommand(argv.argv)}`);
      const { plain } = this.#options;
      const attempt = await this.#tryWarm(call);
      if (attempt.kind === 'fallback') return plain.read(argv, this.#fallBack(call, attempt.why));
      // A read whose worker was lost changed nothing: run it again, in its own process.
      if (attempt.kind === 'ran' && 'reason' in attempt.end) {
        options.sink?.reset();
        return plain.read(argv, this.#fallBack(call, attempt.end.reason));
      }
      return this.#finish(call, attempt);
    });
  }

  change(argv: CheckedArgv<'change'>, consent: Consent | Approve, options: RunOptions): Promise<Transcript> {
    return this.#track(argv, options, async (call) => {
      const { plain, onSpent } = this.#options;
      const change = new HeldChange({ argv, consent, onSpent });
      const attempt = await this.#tryWarm(call, change);
      if (attempt.kind === 'fallback') return plain.change(argv, consent, this.#fallBack(call, attempt.why));
      const { isUndecided } = change;
      await call.limit.race(change.end());
      change.throwRefusal();
      if (attempt.kind !== 'ran' || !('reason' in attempt.end) || !isUndecided) return this.#finish(call, attempt);
      // A command whose worker was lost before it was allowed anything changed nothing. Its consent is for no other command.
      const { reason } = attempt.end;
      if (!change.wasAsked) return plain.change(argv, consent, this.#fallBack(call, reason));
      const end = { kind: 'not-run', reason: `dstack was ended right before its change: ${reason}` } as const;
      return this.#finish(call, { ...attempt, end });
    });
  }

  state(): WarmStatus {
    return describeState(this.#service, this.#warmCommands, this.#plainCommands);
  }

  warmUp(): void {
    this.#service.warmUp();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    // Started first: commands of this runner wait for those of the plain one.
    const plain = this.#options.plain.close();
    await Promise.allSettled(this.#active);
    await this.#service.close();
    await plain;
  }

  async #track(
    argv: CheckedArgv,
    options: CommandCall['options'],
    run: (call: CommandCall) => Promise<Transcript>,
  ): Promise<Transcript> {
    const running = run(startCall(argv, options, this.#closing.signal));
    this.#active.add(running);
    try {
      return await running;
    } finally {
      this.#active.delete(running);
    }
  }

  async #tryWarm(call: CommandCall, consent?: HeldChange): Promise<Attempt> {
    const { argv, options, limit } = call;
    if (ALWAYS_PLAIN.has(argv.command)) return { kind: 'fallback', why: `${argv.command} blocks` };
    const input = options.answer === undefined ? {} : { input: Buffer.from(`${options.answer}\n`) };
    const change = consent === undefined ? {} : { change: this.#describeChange(call, consent) };
    return this.#service.attempt({ argv: argv.argv, options, limit, ...change, ...input }, options.env ?? {});
  }

  #describeChange(call: CommandCall, consent: HeldChange): NonNullable<WarmCall['change']> {
    if (consent.isAsked && call.options.wire?.asks !== true)
      throw new TypeError('this command has no gate that asks for the consent');
    return {
      consent,
      limitMs: Math.max(this.#limits.changeLimitMs, call.options.timeoutMs),
      outlivesCall: outlivesCall(call),
      answer: (soFar) => consent.answer(toTranscript(call, { ...soFar, ran: 'warm' })),
    };
  }

  /** Counts the fallback and returns the options for the plain process, which gets the remaining time. */
  #fallBack(call: CommandCall, why: string): CommandCall['options'] {
    this.#plainCommands.set(why, (this.#plainCommands.get(why) ?? 0) + 1);
    this.#options.log.debug({ command: call.argv.command, why }, 'this command runs as a plain process');
    const elapsedMs = performance.now() - call.startedAt;
    return { ...call.options, timeoutMs: Math.max(1, call.options.timeoutMs - elapsedMs) };
  }

  #finish(call: CommandCall, attempt: Exclude<Attempt, { kind: 'fallback' }>): Transcript {
    const reason = call.limit.reason() ?? 'cancelled';
    if (attempt.kind === 'interrupted') return toTranscript(call, { exit: exitBeforeStart(reason), ran: 'warm' });
    this.#warmCommands += 1;
    const exit = toExit(attempt.end, call.limit);
    const isPinned = call.options.pinnedFile !== undefined && exit.kind !== 'not-started';
    return toTranscript(call, {
      exit,
      printed: attempt.printed,
      ran: 'warm',
      ...(isPinned ? { pinning: 'held' } : {}),
      ...(call.options.wire === undefined ? {} : { requests: attempt.requests }),
    });
  }

  async #askWarm(task: string, input: Uint8Array): Promise<string | undefined> {
    const limit = createCallLimit({ timeoutMs: this.#limits.introspectionMs }, this.#closing.signal);
    const call = { argv: [], options: {}, input, task, limit };
    const attempt = await this.#service.attempt(call, {});
    const answered = attempt.kind === 'ran' && attempt.end.kind === 'exited' && attempt.end.code === 0;
    return answered && attempt.printed.omittedBytes === 0 ? attempt.printed.stdout : undefined;
  }
}

function toExit(end: Extract<Attempt, { kind: 'ran' }>['end'], limit: CallLimit): Exit {
  if (end.kind === 'not-run') return { kind: 'not-started', reason: end.reason };
  if (end.kind !== 'interrupted') return end;
  const inTime = limit.reason() !== 'timed-out';
  return inTime && !end.stillRunning ? { kind: 'cancelled' } : { kind: 'timed-out', stillRunning: end.stillRunning };
}

function describeState(
  { state, starts }: Pick<WarmService, 'state' | 'starts'>,
  warmCommands: number,
  plainCommands: ReadonlyMap<string, number>,
): WarmStatus {
  const counts = { kind: state.kind, starts, warmCommands, plainCommands: Object.fromEntries(plainCommands) };
  if ('why' in state) return { ...counts, why: state.why };
  if (state.kind !== 'ready') return counts;
  const { pids, info } = state.worker;
  return { ...counts, pids, version: info.version, python: info.python };
}
