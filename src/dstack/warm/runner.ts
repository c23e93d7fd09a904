import { performance } from 'node:perf_hooks';
import type { Log } from '../../core/log.ts';
import type { Exit, Transcript } from '../../core/transcript.ts';
import { showCommand } from '../argv/command.ts';
import type { CheckedArgv } from '../argv/command.ts';
import {
  consentMissing,
  createCallLimit,
  exitBeforeStart,
  outlivesCall,
  startCall,
  toTranscript,
} from '../run/command-call.ts';
import type { CallLimit, CommandCall } from '../run/command-call.ts';
import type { Executable, Runner } from '../run/runner.ts';
import { cliEnvironment } from '../run/spawn-dstack.ts';
import type { Attempt } from './call.ts';
import { createIntrospection } from './introspection.ts';
import type { Introspection } from './introspection.ts';
import type { WorkerState } from './keeper.ts';
import { createWarmService, DEFAULT_WARM_LIMITS } from './service.ts';
import type { WarmLimits, WarmService } from './service.ts';

export interface WarmRunnerOptions {
  readonly executable: Executable;
  /** The folder with the Python side. */
  readonly workerFiles: string;
  /** The environment from which dstack's is made, as for the plain runner. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs what the worker can't, and everything where there is no worker. */
  readonly plain: Runner;
  /** Spends a consent for exactly this argv; returns false if it isn't one. */
  readonly spendConsent: (consent: unknown, argv: readonly string[]) => boolean;
  readonly log: Log;
  readonly enabled?: boolean;
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
  readonly pid?: number;
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
export function createWarmRunner(settings: WarmRunnerOptions): WarmRunner {
  const { executable, workerFiles, plain, log, enabled = true, platform = process.platform } = settings;
  const env = cliEnvironment(settings.env);
  const limits = { ...DEFAULT_WARM_LIMITS, ...settings.limits };
  const service = createWarmService({ executable, workerFiles, env, log, enabled, platform, limits });
  const closing = new AbortController();
  const active = new Set<Promise<unknown>>();
  const plainCommands = new Map<string, number>();
  let warmCommands = 0;

  const tryWarm = async (call: CommandCall, beforeGo: () => void): Promise<Attempt> => {
    const { argv, options, limit } = call;
    if (ALWAYS_PLAIN.has(argv.command)) return { kind: 'fallback', why: `${argv.command} blocks` };
    const input = options.answer === undefined ? {} : { input: Buffer.from(`${options.answer}\n`) };
    const request = { argv: argv.argv, options, limit, outlivesCall: outlivesCall(call), beforeGo, ...input };
    return service.attempt(request, options.env ?? {});
  };
  /** Counts the fallback and returns the options for the plain process, which gets the remaining time. */
  const fallBack = (call: CommandCall, why: string): CommandCall['options'] => {
    plainCommands.set(why, (plainCommands.get(why) ?? 0) + 1);
    log.debug({ command: call.argv.command, why }, 'this command runs as a plain process');
    const elapsedMs = performance.now() - call.startedAt;
    return { ...call.options, timeoutMs: Math.max(1, call.options.timeoutMs - elapsedMs) };
  };
  const finish = (call: CommandCall, attempt: Exclude<Attempt, { kind: 'fallback' }>): Transcript => {
    const reason = call.limit.reason() ?? 'cancelled';
    if (attempt.kind === 'interrupted') return toTranscript(call, { exit: exitBeforeStart(reason), ran: 'warm' });
    warmCommands += 1;
    const exit = toExit(attempt.end, call.limit);
    const isPinned = call.options.pinnedFile !== undefined && exit.kind !== 'not-started';
    return toTranscript(call, {
      exit,
      printed: attempt.printed,
      ran: 'warm',
      ...(isPinned ? { pinning: 'held' } : {}),
      ...(call.options.wire === undefined ? {} : { requests: attempt.requests }),
    });
  };

  const track = async (
    argv: CheckedArgv,
    options: CommandCall['options'],
    run: (call: CommandCall) => Promise<Transcript>,
  ): Promise<Transcript> => {
    const running = run(startCall(argv, options, closing.signal));
    active.add(running);
    try {
      return await running;
    } finally {
      active.delete(running);
    }
  };

  return {
    read: (argv, options) =>
      track(argv, options, async (call) => {
        if (argv.effect !== 'read') throw new TypeError(`not a read-only command: ${showCommand(argv.argv)}`);
        const attempt = await tryWarm(call, () => undefined);
        if (attempt.kind === 'fallback') return plain.read(argv, fallBack(call, attempt.why));
        // A read whose worker was lost changed nothing: run it again, in its own process.
        if (attempt.kind === 'ran' && 'reason' in attempt.end) {
          options.sink?.reset();
          return plain.read(argv, fallBack(call, attempt.end.reason));
        }
        return finish(call, attempt);
      }),
    change: (argv, consent, options) =>
      track(argv, options, async (call) => {
        const attempt = await tryWarm(call, () => {
          if (!settings.spendConsent(consent, argv.argv)) throw consentMissing(argv);
        });
        if (attempt.kind !== 'fallback') return finish(call, attempt);
        return plain.change(argv, consent, fallBack(call, attempt.why));
      }),
    async close() {
      closing.abort();
      await Promise.allSettled(active);
      await service.close();
      await plain.close();
    },
    introspection: createIntrospection({
      askWarm,
      executable,
      workerFiles,
      env,
      log,
      timeoutMs: limits.introspectionMs,
    }),
    state: () => describeState(service, warmCommands, plainCommands),
    warmUp: () => service.warmUp(),
  };

  async function askWarm(task: string, input: Uint8Array): Promise<string | undefined> {
    const limit = createCallLimit({ timeoutMs: limits.introspectionMs }, closing.signal);
    const call = { argv: [], options: {}, input, task, limit, outlivesCall: false, beforeGo: () => undefined };
    const attempt = await service.attempt(call, {});
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
  const { pid, info } = state.worker;
  return { ...counts, pid, version: info.version, python: info.python };
}
