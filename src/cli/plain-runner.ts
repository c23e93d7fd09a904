import { performance } from 'node:perf_hooks';
import pLimit from 'p-limit';
import { ToolError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Consent } from '../safety/consent.ts';
import { isCheckedArgv } from './check-argv.ts';
import { cliEnvironment } from './cli-environment.ts';
import { collectPipes, openOutputFiles } from './collect-output.ts';
import type { OutputFiles, Printed } from './collect-output.ts';
import type { CheckedArgv } from './command.ts';
import { endGroup, killGroup } from './end-group.ts';
import type { Executable } from './find-executable.ts';
import { watchInterruption } from './interruption.ts';
import type { Interrupted, Interruption } from './interruption.ts';
import { holdPinnedFile, readPinning } from './pinned-file.ts';
import type { Hold } from './pinned-file.ts';
import type { Exit, RunOptions, Runner, Transcript } from './runner.ts';
import { showCommand } from './show-command.ts';
import { spawnDstack } from './spawn-dstack.ts';
import type { Ended, Spawned, SpawnRequest } from './spawn-dstack.ts';

export interface PlainRunnerOptions {
  readonly executable: Executable;
  /** The environment that dstack's is made from. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Uses a consent up for exactly this argv; false where it isn't one. */
  readonly spendConsent: (consent: unknown, argv: readonly string[]) => boolean;
  /** The Python file that runs the entry script with one file answered from memory. */
  readonly launcherPath: string;
  readonly log: Log;
  readonly maxConcurrent?: number;
  readonly maxQueued?: number;
  /** How much of each stream is kept, from its two ends. */
  readonly keepBytes?: number;
  /** How long a process may take to end after it was asked to. */
  readonly graceMs?: number;
}

type Started = Extract<Spawned, { kind: 'started' }>;
const NOTHING_PRINTED: Printed = { stdout: '', stderr: '', omittedBytes: 0 };

interface Call {
  readonly argv: CheckedArgv;
  readonly options: RunOptions & { readonly answer?: 'n' };
  readonly since: number;
  readonly interruption: Interruption;
}

/** Creates the runner that starts a dstack process for each command. */
export function createPlainRunner(settings: PlainRunnerOptions): Runner {
  const {
    executable,
    spendConsent,
    log,
    maxConcurrent = 4,
    maxQueued = 256,
    keepBytes = 4_194_304,
    graceMs = 2_000,
  } = settings;
  const baseEnv = cliEnvironment(settings.env);
  const limit = pLimit(maxConcurrent);
  const closing = new AbortController();
  const active = new Set<Promise<unknown>>();

  const toTranscript = (
    call: Call,
    exit: Exit,
    printed: Printed,
    pinning: Pick<Transcript, 'pinning'> = {},
  ): Transcript => ({
    command: showCommand(call.argv.argv),
    ...printed,
    exit,
    durationMs: Math.round(performance.now() - call.since),
    ran: 'plain',
    ...pinning,
  });
  const notStarted = (call: Call, reason: string): Transcript =>
    toTranscript(call, { kind: 'not-started', reason }, NOTHING_PRINTED);

  const neverBegan = (call: Call, why: Interrupted): Transcript => {
    if (why === 'cancelled') return toTranscript(call, { kind: 'cancelled' }, NOTHING_PRINTED);
    return notStarted(call, why === 'closing' ? 'this server is ending' : 'other dstack commands took all the time');
  };

  const spawn = (call: Call, hold: Hold, more: Partial<SpawnRequest>): Promise<Spawned> =>
    spawnDstack({
      executable,
      argv: call.argv.argv,
      env: { ...baseEnv, ...call.options.env },
      ...(call.options.cwd === undefined ? {} : { cwd: call.options.cwd }),
      ...(hold.kind === 'held' ? { pinned: hold.pinned } : {}),
      ...more,
    });

  const runRead = async (call: Call): Promise<Transcript> => {
    const hold = await holdPinnedFile({ executable, launcherPath: settings.launcherPath, options: call.options });
    if (hold.kind === 'differs') return notStarted(call, hold.reason);
    const started = await spawn(call, hold, call.options.answer === undefined ? {} : { answer: call.options.answer });
    if (started.kind === 'not-started') return notStarted(call, started.reason);
    const pipes = collectPipes(started, keepBytes, call.options.sink);
    const how = await Promise.race([started.exited, call.interruption.happened]);
    if (typeof how === 'string') await endGroup(started, graceMs);
    // A grandchild that outlives its parent would keep the pipes open.
    else killGroup(started.pid);
    const printed = await pipes.drain();
    return toTranscript(call, toExit(how, printed, hold), printed, await readPinning(hold));
  };

  const runChange = async (call: Call, consent: Consent): Promise<Transcript> => {
    const hold = await holdPinnedFile({ executable, launcherPath: settings.launcherPath, options: call.options });
    if (hold.kind === 'differs') return notStarted(call, hold.reason);
    const interrupted = call.interruption.now();
    if (interrupted !== undefined) return neverBegan(call, interrupted);
    if (!spendConsent(consent, call.argv.argv)) throw consentMissing(call.argv);
    const files = openOutputFiles(keepBytes);
    const started = await spawn(call, hold, { output: files.streams });
    if (started.kind === 'not-started') {
      files.close();
      return notStarted(call, started.reason);
    }
    const how = await Promise.race([started.exited, call.interruption.happened]);
    if (typeof how === 'string' && mayGoOn(call.argv)) {
      const printed = files.read();
      leaveRunning(call, started, files);
      return toTranscript(call, { kind: 'timed-out', stillRunning: true }, printed, await readPinning(hold));
    }
    if (typeof how === 'string') await endGroup(started, graceMs);
    const printed = files.read();
    files.close();
    return toTranscript(call, toExit(how, printed, hold), printed, await readPinning(hold));
  };

  const leaveRunning = (call: Call, started: Started, files: OutputFiles): void => {
    const about = { command: showCommand(call.argv.argv), pid: started.pid };
    log.warn(about, 'a change takes longer than the call may: it goes on in the background');
    started.unref();
    void started.exited.then((ended): undefined => {
      log.warn(
        { ...about, ...ended, output: files.read().stdout.slice(-2000) },
        'the change in the background has ended',
      );
      files.close();
      return undefined;
    });
  };

  const enqueue = async (
    argv: CheckedArgv,
    options: Call['options'],
    run: (call: Call) => Promise<Transcript>,
  ): Promise<Transcript> => {
    if (!isCheckedArgv(argv)) throw new TypeError('this argv was not made by the check against the catalogue');
    const interruption = watchInterruption(options.timeoutMs, options.signal, closing.signal);
    const call: Call = { argv, options, since: performance.now(), interruption };
    if (limit.pendingCount >= maxQueued) {
      interruption.dispose();
      throw new ToolError(
        'busy',
        `${maxQueued} dstack commands are waiting already. Nothing was run.`,
        'Wait for the running calls, then call again.',
      );
    }
    let begun = false;
    const turn = limit(() => {
      const interrupted = interruption.now();
      begun = interrupted === undefined;
      return interrupted === undefined ? run(call) : neverBegan(call, interrupted);
    });
    active.add(turn);
    const leave = (): void => {
      active.delete(turn);
      interruption.dispose();
    };
    turn.then(leave, leave);
    const waited = interruption.happened.then((why) => (begun ? turn : neverBegan(call, why)));
    return Promise.race([turn, waited]);
  };

  return {
    read: async (argv, options) => {
      if (argv.effect !== 'read') throw new TypeError(`not a read-only command: ${showCommand(argv.argv)}`);
      return enqueue(argv, options, runRead);
    },
    change: (argv, consent, options) => enqueue(argv, options, (call) => runChange(call, consent)),
    async close() {
      closing.abort();
      await Promise.allSettled(active);
    },
  };
}

/** A replace stops the old run before it submits the new one: ended half-way it would leave neither. */
const mayGoOn = (argv: CheckedArgv): boolean => argv.command === 'apply';

const consentMissing = (argv: CheckedArgv): ToolError =>
  new ToolError(
    'consent-missing',
    `There is no consent to \`${showCommand(argv.argv)}\`. Nothing was run.`,
    'Make a new plan, and have it confirmed.',
  );

/** The launcher's own exit code, with its own words, when dstack's script was never run. */
const LAUNCHER_FAILED = 70;

function toExit(how: Ended | Interrupted, printed: Printed, hold: Hold): Exit {
  if (how === 'timed-out') return { kind: 'timed-out', stillRunning: false };
  if (typeof how === 'string') return { kind: 'cancelled' };
  if (how.code === null) return { kind: 'signalled', signal: how.signal ?? 'unknown' };
  if (hold.kind === 'held' && how.code === LAUNCHER_FAILED && printed.stderr.startsWith('dstack was not started:')) {
    return { kind: 'not-started', reason: printed.stderr.trim() };
  }
  return { kind: 'exited', code: how.code };
}
