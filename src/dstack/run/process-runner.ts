import path from 'node:path';
import type { Log } from '../../core/log.ts';
import type { Exit, Transcript, WireEvent } from '../../core/transcript.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import { showCommand } from '../argv/command.ts';
import type { CheckedArgv } from '../argv/command.ts';
import { collectPipes, openOutputFiles } from './collect-output.ts';
import type { OutputFiles, CommandOutput } from './collect-output.ts';
import {
  CHANGE_LIMIT_MS,
  exitBeforeStart,
  outlivesCall,
  startCall,
  toTranscript,
  createCommandQueue,
} from './command-call.ts';
import type { AbortReason, CommandCall } from './command-call.ts';
import { HeldChange } from './runner.ts';
import type { Approve, Executable, Runner, HeldAnswer } from './runner.ts';
import { endGroup, killGroup, killOnExit } from './processes.ts';
import { cliEnvironment, spawnDstack } from './spawn-dstack.ts';
import type { Ended, Spawned, SpawnRequest } from './spawn-dstack.ts';
import { UNREADABLE } from './wire-events.ts';

export interface PlainRunnerOptions {
  readonly executable: Executable;
  /** The environment from which dstack's is made. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The Python file that runs the entry script with a gate on its requests, and one file served from memory. */
  readonly launcherPath: string;
  readonly log: Log;
  readonly maxConcurrent?: number;
  readonly maxQueued?: number;
  /** Bytes of each stream to keep, from both ends. */
  readonly keepBytes?: number;
  /** Time for a process to exit after SIGTERM. */
  readonly graceMs?: number;
  /** Time for a change to finish, even after this process has ended. */
  readonly changeLimitMs?: number;
}

type Setup = Required<Omit<PlainRunnerOptions, 'maxConcurrent' | 'maxQueued' | 'env'>> & {
  readonly baseEnv: Readonly<Record<string, string>>;
};

/** Creates the runner that starts one dstack process per command. */
export function createPlainRunner(options: PlainRunnerOptions): Runner {
  const setup: Setup = {
    keepBytes: 4_194_304,
    graceMs: 2_000,
    changeLimitMs: CHANGE_LIMIT_MS,
    ...options,
    baseEnv: cliEnvironment(options.env),
  };
  const queue = createCommandQueue(options.maxConcurrent ?? 4, options.maxQueued ?? 256);
  const closing = new AbortController();

  const enqueue = async (
    argv: CheckedArgv,
    callOptions: CommandCall['options'],
    run: (call: CommandCall) => Promise<Transcript>,
  ): Promise<Transcript> => {
    const call = startCall(argv, callOptions, closing.signal);
    const transcript = await queue.run(call.limit.signal, () => {
      callOptions.onBegin?.('plain');
      return run(call);
    });
    return transcript ?? notRun(call);
  };
  return {
    read: async (argv, callOptions) => {
      if (argv.effect !== 'read') throw new TypeError(`not a read-only command: ${showCommand(argv.argv)}`);
      return enqueue(argv, callOptions, (call) => runRead(setup, call));
    },
    change: async (argv, consent, callOptions) => enqueue(argv, callOptions, (call) => runChange(setup, call, consent)),
    async close() {
      closing.abort();
      await queue.settled();
    },
  };
}

async function runRead(setup: Setup, call: CommandCall): Promise<Transcript> {
  if (isUnpinnable(setup, call)) return notStarted(call, UNPINNABLE);
  const { answer } = call.options;
  const started = await spawnDstack({
    ...spawnRequest(setup, call),
    ...(answer === undefined ? {} : { answer }),
  });
  if (started.kind === 'not-started') return notStarted(call, started.reason);
  killOnExit(started);
  const pipes = collectPipes(started, setup.keepBytes, call.options.sink);
  const how = await call.limit.race(started.exited);
  if (typeof how === 'string') await endGroup(started, how === 'closing' ? 0 : setup.graceMs);
  // A grandchild that outlives its parent would keep the pipes open.
  else killGroup(started.pid);
  const [printed, requests] = await Promise.all([pipes.drain(), drainRequests(call, started)]);
  return finish(call, { exit: toExit(how, printed, started), printed, ...requests, ...pinningOf(call) });
}

async function runChange(setup: Setup, call: CommandCall, consent: Consent | Approve): Promise<Transcript> {
  if (isUnpinnable(setup, call)) return notStarted(call, UNPINNABLE);
  if (call.limit.signal.aborted) return notRun(call);
  const files = tryOpenFiles(setup.keepBytes);
  if (files instanceof Error) return notStarted(call, `its output couldn't be stored: ${files.message}`);
  const change = new HeldChange({ argv: call.argv, consent });
  try {
    change.begin();
    const started = await spawnDstack({ ...changeRequest(setup, { call, change, files }), output: files.streams });
    if (started.kind === 'started') return await waitForChange(setup, { call, change, files, started });
    files.close();
    return notStarted(call, started.reason);
  } catch (error) {
    files.close();
    throw error;
  }
}

interface RunningChange {
  readonly call: CommandCall;
  readonly change: HeldChange;
  readonly files: OutputFiles;
  readonly started: Started;
}

function changeRequest(setup: Setup, { call, change, files }: Omit<RunningChange, 'started'>): SpawnRequest {
  const request = spawnRequest(setup, call);
  if (!change.isAsked) return request;
  if (request.launch?.wire?.asks !== true) throw new TypeError('this command has no gate that asks for the consent');
  const onHeld = (requests: readonly WireEvent[]): Promise<HeldAnswer> =>
    change.answer(toTranscript(call, { printed: files.read(), ran: 'plain', requests }));
  return { ...request, launch: { ...request.launch, onHeld } };
}

async function waitForChange(setup: Setup, running: RunningChange): Promise<Transcript> {
  const { call, change, files, started } = running;
  const how = await call.limit.race(started.exited);
  const decided = change.end();
  if (change.isAllowed && (how === 'closing' || (typeof how === 'string' && outlivesCall(call)))) {
    const printed = files.read();
    leaveRunning(setup, { call, started, files });
    return finish(call, {
      exit: { kind: 'timed-out', stillRunning: true },
      printed,
      ...(call.options.wire === undefined || started.gate === undefined ? {} : { requests: started.gate.sofar() }),
      ...pinningOf(call),
    });
  }
  if (typeof how === 'string') await endGroup(started, how === 'closing' ? 0 : setup.graceMs);
  const [requests] = await Promise.all([drainRequests(call, started), call.limit.race(decided)]);
  change.throwRefusal();
  const printed = files.read();
  files.close();
  return finish(call, { exit: toExit(how, printed, started), printed, ...requests, ...pinningOf(call) });
}

/** Only dstack's own script can be given the approved bytes: any other executable would read the file itself, whatever it is by then. */
const isUnpinnable = ({ executable }: Setup, { options }: CommandCall): boolean =>
  options.pinnedFile !== undefined && executable.interpreter === undefined;

const UNPINNABLE = "the executable isn't a Python script, so it can't be given the approved content of the file";

const pinningOf = ({ options }: CommandCall): Pick<Transcript, 'pinning'> =>
  options.pinnedFile === undefined ? {} : { pinning: 'held' };

type Started = Extract<Spawned, { kind: 'started' }>;

const drainRequests = async ({ options }: CommandCall, { gate }: Started): Promise<Pick<Transcript, 'requests'>> =>
  options.wire === undefined || gate === undefined ? {} : { requests: await gate.drain() };

function tryOpenFiles(keepBytes: number): OutputFiles | Error {
  try {
    return openOutputFiles(keepBytes);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

interface BackgroundChange {
  readonly call: CommandCall;
  readonly started: Started;
  readonly files: OutputFiles;
}

function leaveRunning(setup: Setup, { call, started, files }: BackgroundChange): void {
  const { log } = setup;
  const details = { command: showCommand(call.argv.argv), pid: started.pid };
  log.warn(details, 'a change continues in the background, after the end of its call');
  started.unref();
  // A process that wasn't launched knows no limit.
  const end = setTimeout(() => void endGroup(started, setup.graceMs), timeOf(setup, call)).unref();
  const onEnd = (ended: Ended): void => {
    clearTimeout(end);
    log.warn({ ...details, ...ended }, 'the change in the background has ended');
    files.close();
  };
  void started.exited.then(onEnd);
}

const spawnRequest = (setup: Setup, call: CommandCall): SpawnRequest => ({
  executable: setup.executable,
  argv: call.argv.argv,
  env: { ...setup.baseEnv, ...call.options.env },
  ...(call.options.cwd === undefined ? {} : { cwd: call.options.cwd }),
  ...launchOf(setup, call),
});

/** Returns the time that a change has for finishing, from its start. */
const timeOf = ({ changeLimitMs }: Setup, { options }: CommandCall): number =>
  Math.max(changeLimitMs, options.timeoutMs);

function launchOf(setup: Setup, call: CommandCall): Pick<SpawnRequest, 'launch'> {
  const { executable, launcherPath } = setup;
  const { wire, pinnedFile, cwd = process.cwd() } = call.options;
  const isGated = wire !== undefined && executable.interpreter !== undefined;
  const isLimited = call.argv.effect !== 'read' && executable.interpreter !== undefined;
  if (!isGated && !isLimited && pinnedFile === undefined) return {};
  return {
    launch: {
      launcherPath,
      ...(pinnedFile === undefined ? {} : { pinned: { ...pinnedFile, path: path.resolve(cwd, pinnedFile.path) } }),
      ...(isGated ? { wire } : {}),
      ...(isLimited ? { limitMs: timeOf(setup, call) } : {}),
    },
  };
}

const finish = (
  call: CommandCall,
  end: Pick<Transcript, 'exit' | 'pinning' | 'requests'> & { readonly printed?: CommandOutput },
): Transcript => toTranscript(call, { ...end, ran: 'plain' });

const notStarted = (call: CommandCall, reason: string): Transcript =>
  finish(call, { exit: { kind: 'not-started', reason } });

const notRun = (call: CommandCall): Transcript =>
  finish(call, { exit: exitBeforeStart(call.limit.reason() ?? 'cancelled') });

/** The launcher's own exit code if it never ran dstack's script, recognized together with its message. */
const LAUNCHER_FAILED = 70;

function toExit(how: Ended | AbortReason, printed: CommandOutput, { gate }: Started): Exit {
  if (how === 'timed-out') return { kind: 'timed-out', stillRunning: false };
  if (typeof how === 'string') return { kind: 'cancelled' };
  if (gate?.isUnreadable() === true) return UNREADABLE;
  if (how.code === null) return { kind: 'signalled', signal: how.signal ?? 'unknown' };
  if (gate !== undefined && how.code === LAUNCHER_FAILED && printed.stderr.startsWith('dstack was not started:')) {
    return { kind: 'not-started', reason: printed.stderr.trim() };
  }
  return { kind: 'exited', code: how.code };
}
