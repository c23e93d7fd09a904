import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { ToolError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { isCheckedArgv } from '../argv/check-argv.ts';
import { cliEnvironment } from '../run/environment.ts';
import type { CheckedArgv } from '../argv/command.ts';
import type { Executable } from '../run/executable.ts';
import { watchInterruption } from '../run/interruption.ts';
import type { Interrupted, Interruption } from '../run/interruption.ts';
import type { Exit, Transcript } from '../../core/transcript.ts';
import type { RunOptions, Runner } from '../run/runner.ts';
import { showCommand } from '../argv/show-command.ts';
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
  /** The environment that dstack's is made from, as for the plain runner. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs what the worker can't, and everything where there is none. */
  readonly plain: Runner;
  /** Uses a consent up for exactly this argv; false where it isn't one. */
  readonly spendConsent: (consent: unknown, argv: readonly string[]) => boolean;
  readonly log: Log;
  readonly enabled?: boolean;
  readonly platform?: NodeJS.Platform;
  readonly limits?: Partial<WarmLimits>;
}

/** What `doctor` shows of the worker. */
export interface WarmStatus {
  readonly kind: WorkerState['kind'];
  /** How often a worker was started. */
  readonly starts: number;
  /** Why it isn't there. */
  readonly why?: string;
  readonly pid?: number;
  /** The dstack that it imported. */
  readonly version?: string;
  readonly python?: string;
  readonly warmCommands: number;
  /** Commands that ran as plain processes, by the reason. */
  readonly plainCommands: Readonly<Record<string, number>>;
}

/** A runner that keeps dstack warm. */
export interface WarmRunner extends Runner {
  readonly introspection: Introspection;
  state(): WarmStatus;
  /** Starts the worker in the background. */
  warmUp(): void;
}

/** These hold on, serve or open a browser: their own process, always. */
const ALWAYS_PLAIN: ReadonlySet<string> = new Set(['attach', 'server', 'login']);

const NOTHING_PRINTED = { stdout: '', stderr: '', omittedBytes: 0 };

interface Call {
  readonly argv: CheckedArgv;
  readonly options: RunOptions & { readonly answer?: 'n' };
  readonly since: number;
  readonly interruption: Interruption;
  /** A replace stops the old run before it submits the new one: ended half-way it would leave neither. */
  readonly mayGoOn: boolean;
}

/** Creates the runner that gives commands to a warm dstack process, and to the plain runner whenever that isn't possible. */
export function createWarmRunner(settings: WarmRunnerOptions): WarmRunner {
  const { executable, workerFiles, plain, log, enabled = true, platform = process.platform } = settings;
  const env = cliEnvironment(settings.env);
  const limits = { ...DEFAULT_WARM_LIMITS, ...settings.limits };
  const service = createWarmService({ executable, workerFiles, env, log, enabled, platform, limits });
  const closing = new AbortController();
  // Each command that runs listens to it: many of them are no leak.
  setMaxListeners(0, closing.signal);
  const active = new Set<Promise<unknown>>();
  const plainCommands = new Map<string, number>();
  let warmCommands = 0;

  const tryWarm = async (call: Call, beforeGo: () => void): Promise<Attempt> => {
    if (!isCheckedArgv(call.argv)) throw new TypeError('this argv was not made by the check against the catalog');
    if (ALWAYS_PLAIN.has(call.argv.command)) return { kind: 'stepped-aside', why: `${call.argv.command} holds on` };
    const { argv, options, interruption, mayGoOn } = call;
    const input = options.answer === undefined ? {} : { input: Buffer.from(`${options.answer}\n`) };
    return service.attempt({ argv: argv.argv, options, interruption, mayGoOn, beforeGo, ...input }, options.env ?? {});
  };
  /** Counts it, and gives the plain process the time that is left. */
  const stepAside = (call: Call, why: string): { timeoutMs: number } => {
    plainCommands.set(why, (plainCommands.get(why) ?? 0) + 1);
    log.debug({ command: call.argv.command, why }, 'this command runs as a plain process');
    return { timeoutMs: Math.max(1, call.options.timeoutMs - (performance.now() - call.since)) };
  };
  const finish = async (call: Call, attempt: Exclude<Attempt, { kind: 'stepped-aside' }>): Promise<Transcript> => {
    if (attempt.kind === 'interrupted') return toTranscript(call, neverRan(await call.interruption.happened));
    warmCommands += 1;
    return toTranscript(call, await toExit(attempt.end, call.interruption), attempt.printed);
  };

  const track = async (
    argv: CheckedArgv,
    options: Call['options'],
    run: (call: Call) => Promise<Transcript>,
  ): Promise<Transcript> => {
    const interruption = watchInterruption(options.timeoutMs, options.signal, closing.signal);
    const mayGoOn = argv.effect !== 'read' && argv.command === 'apply';
    const running = run({ argv, options, interruption, mayGoOn, since: performance.now() });
    active.add(running);
    try {
      return await running;
    } finally {
      active.delete(running);
      interruption.dispose();
    }
  };

  return {
    read: (argv, options) =>
      track(argv, options, async (call) => {
        if (argv.effect !== 'read') throw new TypeError(`not a read-only command: ${showCommand(argv.argv)}`);
        const goPlain = (why: string): Promise<Transcript> => plain.read(argv, { ...options, ...stepAside(call, why) });
        const attempt = await tryWarm(call, () => undefined);
        if (attempt.kind === 'stepped-aside') return goPlain(attempt.why);
        // A read that was lost changed nothing: once more, in a process of its own.
        if (attempt.kind === 'ran' && 'reason' in attempt.end) {
          options.sink?.reset();
          return goPlain(attempt.end.reason);
        }
        return finish(call, attempt);
      }),
    change: (argv, consent, options) =>
      track(argv, options, async (call) => {
        const attempt = await tryWarm(call, () => {
          if (!settings.spendConsent(consent, argv.argv)) throw consentMissing(argv);
        });
        if (attempt.kind !== 'stepped-aside') return finish(call, attempt);
        return plain.change(argv, consent, { ...options, ...stepAside(call, attempt.why) });
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
    const interruption = watchInterruption(limits.introspectionMs, undefined, closing.signal);
    const call = { argv: [], options: {}, input, task, interruption, mayGoOn: false, beforeGo: () => undefined };
    try {
      const attempt = await service.attempt(call, {});
      const answered = attempt.kind === 'ran' && attempt.end.kind === 'exited' && attempt.end.code === 0;
      return answered && attempt.printed.omittedBytes === 0 ? attempt.printed.stdout : undefined;
    } finally {
      interruption.dispose();
    }
  }
}

const consentMissing = (argv: CheckedArgv): ToolError =>
  new ToolError(
    'consent-missing',
    `There is no consent to \`${showCommand(argv.argv)}\`. Nothing was run.`,
    'Make a new plan, and have it confirmed.',
  );

const toTranscript = (call: Call, exit: Exit, printed = NOTHING_PRINTED): Transcript => ({
  command: showCommand(call.argv.argv),
  ...printed,
  exit,
  durationMs: Math.round(performance.now() - call.since),
  ran: 'warm',
  ...(call.options.pinnedFile === undefined || exit.kind === 'not-started' ? {} : { pinning: 'held' }),
});

function neverRan(how: Interrupted): Exit {
  if (how === 'cancelled') return { kind: 'cancelled' };
  return {
    kind: 'not-started',
    reason: how === 'closing' ? 'this server is ending' : 'other dstack commands took all the time',
  };
}

async function toExit(end: Extract<Attempt, { kind: 'ran' }>['end'], { happened }: Interruption): Promise<Exit> {
  if (end.kind === 'not-run') return { kind: 'not-started', reason: end.reason };
  if (end.kind !== 'interrupted') return end;
  const inTime = (await happened) !== 'timed-out';
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
