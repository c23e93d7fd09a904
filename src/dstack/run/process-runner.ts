import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { ToolError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import { isCheckedArgv } from '../argv/check-argv.ts';
import { cliEnvironment } from './environment.ts';
import { collectPipes, openOutputFiles } from './collect-output.ts';
import type { OutputFiles, Printed } from './collect-output.ts';
import { createCommandQueue } from './command-queue.ts';
import type { CheckedArgv } from '../argv/command.ts';
import { endGroup, killOnExit, killGroup } from './process-group.ts';
import type { Executable } from './executable.ts';
import { watchInterruption } from './interruption.ts';
import type { Interrupted, Interruption } from './interruption.ts';
import { pinFile, readPinning } from './pinned-file.ts';
import type { PinnedFile } from './pinned-file.ts';
import type { Exit, Transcript } from '../../core/transcript.ts';
import type { RunOptions, Runner } from './runner.ts';
import { showCommand } from '../argv/show-command.ts';
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

interface Call {
  readonly argv: CheckedArgv;
  readonly options: RunOptions & { readonly answer?: 'n' };
  readonly since: number;
  readonly interruption: Interruption;
}

type Setup = Required<Omit<PlainRunnerOptions, 'maxConcurrent' | 'maxQueued' | 'env'>> & {
  readonly baseEnv: Readonly<Record<string, string>>;
};

/** Creates the runner that starts a dstack process for each command. */
export function createPlainRunner(options: PlainRunnerOptions): Runner {
  const setup: Setup = { keepBytes: 4_194_304, graceMs: 2_000, ...options, baseEnv: cliEnvironment(options.env) };
  const queue = createCommandQueue(options.maxConcurrent ?? 4, options.maxQueued ?? 256);
  const closing = new AbortController();
  // Every command that is under way listens to it: many of them are no leak.
  setMaxListeners(0, closing.signal);

  const enqueue = async (
    argv: CheckedArgv,
    callOptions: Call['options'],
    run: (call: Call) => Promise<Transcript>,
  ): Promise<Transcript> => {
    if (!isCheckedArgv(argv)) throw new TypeError('this argv was not made by the check against the catalog');
    const interruption = watchInterruption(callOptions.timeoutMs, callOptions.signal, closing.signal);
    const call: Call = { argv, options: callOptions, since: performance.now(), interruption };
    const begin = (): Promise<Transcript> => {
      callOptions.onBegin?.('plain');
      return run(call);
    };
    return queue.add({ interruption, run: begin, neverBegan: (why) => neverBegan(call, why) });
  };
  return {
    read: async (argv, callOptions) => {
      if (argv.effect !== 'read') throw new TypeError(`not a read-only command: ${showCommand(argv.argv)}`);
      return enqueue(argv, callOptions, (call) => runRead(setup, call));
    },
    change: (argv, consent, callOptions) => enqueue(argv, callOptions, (call) => runChange(setup, call, consent)),
    async close() {
      closing.abort();
      await queue.settled();
    },
  };
}

async function runRead(setup: Setup, call: Call): Promise<Transcript> {
  const hold = await pinFile({ ...setup, options: call.options });
  if (hold.kind === 'differs') return notStarted(call, hold.reason);
  const { answer } = call.options;
  const started = await spawnDstack({
    ...spawnRequest(setup, call, hold),
    ...(answer === undefined ? {} : { answer }),
  });
  if (started.kind === 'not-started') return notStarted(call, started.reason);
  killOnExit(started);
  const pipes = collectPipes(started, setup.keepBytes, call.options.sink);
  const how = await Promise.race([started.exited, call.interruption.happened]);
  if (typeof how === 'string') await endGroup(started, setup.graceMs);
  // A grandchild that outlives its parent would keep the pipes open.
  else killGroup(started.pid);
  const printed = await pipes.drain();
  return toTranscript(call, { exit: toExit(how, printed, hold), printed, ...(await readPinning(hold)) });
}

async function runChange(setup: Setup, call: Call, consent: Consent): Promise<Transcript> {
  const hold = await pinFile({ ...setup, options: call.options });
  if (hold.kind === 'differs') return notStarted(call, hold.reason);
  const interrupted = call.interruption.now();
  if (interrupted !== undefined) return neverBegan(call, interrupted);
  const files = tryOpenFiles(setup.keepBytes);
  if (files instanceof Error) return notStarted(call, `what it prints couldn't be kept: ${files.message}`);
  if (!setup.spendConsent(consent, call.argv.argv)) {
    files.close();
    throw consentMissing(call.argv);
  }
  const started = await spawnDstack({ ...spawnRequest(setup, call, hold), output: files.streams });
  if (started.kind === 'not-started') {
    files.close();
    return notStarted(call, started.reason);
  }
  const how = await Promise.race([started.exited, call.interruption.happened]);
  if (typeof how === 'string' && mayGoOn(call.argv)) {
    const printed = files.read();
    leaveRunning(setup.log, { call, started, files });
    const exit = { kind: 'timed-out', stillRunning: true } as const;
    return toTranscript(call, { exit, printed, ...(await readPinning(hold)) });
  }
  if (typeof how === 'string') await endGroup(started, setup.graceMs);
  const printed = files.read();
  files.close();
  return toTranscript(call, { exit: toExit(how, printed, hold), printed, ...(await readPinning(hold)) });
}

function tryOpenFiles(keepBytes: number): OutputFiles | Error {
  try {
    return openOutputFiles(keepBytes);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

interface Left {
  readonly call: Call;
  readonly started: Extract<Spawned, { kind: 'started' }>;
  readonly files: OutputFiles;
}

function leaveRunning(log: Log, { call, started, files }: Left): void {
  const about = { command: showCommand(call.argv.argv), pid: started.pid };
  log.warn(about, 'a change takes longer than the call may: it goes on in the background');
  started.unref();
  const tell = (ended: Ended): void => {
    log.warn({ ...about, ...ended }, 'the change in the background has ended');
    files.close();
  };
  void started.exited.then(tell);
}

const spawnRequest = (setup: Setup, call: Call, hold: PinnedFile): SpawnRequest => ({
  executable: setup.executable,
  argv: call.argv.argv,
  env: { ...setup.baseEnv, ...call.options.env },
  ...(call.options.cwd === undefined ? {} : { cwd: call.options.cwd }),
  ...(hold.kind === 'held' ? { pinned: hold.pinned } : {}),
});

interface End extends Pick<Transcript, 'exit' | 'pinning'> {
  readonly printed: Printed;
}

const NOTHING_PRINTED: Printed = { stdout: '', stderr: '', omittedBytes: 0 };

function toTranscript(call: Call, { printed, ...end }: End): Transcript {
  const durationMs = Math.round(performance.now() - call.since);
  return { command: showCommand(call.argv.argv), ...printed, ...end, durationMs, ran: 'plain' };
}

const notStarted = (call: Call, reason: string): Transcript =>
  toTranscript(call, { exit: { kind: 'not-started', reason }, printed: NOTHING_PRINTED });

function neverBegan(call: Call, why: Interrupted): Transcript {
  if (why === 'cancelled') return toTranscript(call, { exit: { kind: 'cancelled' }, printed: NOTHING_PRINTED });
  return notStarted(call, why === 'closing' ? 'this server is ending' : 'other dstack commands took all the time');
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

function toExit(how: Ended | Interrupted, printed: Printed, hold: PinnedFile): Exit {
  if (how === 'timed-out') return { kind: 'timed-out', stillRunning: false };
  if (typeof how === 'string') return { kind: 'cancelled' };
  if (how.code === null) return { kind: 'signalled', signal: how.signal ?? 'unknown' };
  if (hold.kind === 'held' && how.code === LAUNCHER_FAILED && printed.stderr.startsWith('dstack was not started:')) {
    return { kind: 'not-started', reason: printed.stderr.trim() };
  }
  return { kind: 'exited', code: how.code };
}
