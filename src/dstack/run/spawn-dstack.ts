import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { execa } from 'execa';
import type { WireEvent } from '../../core/transcript.ts';
import { within } from '../../core/waiting.ts';
import type { Executable, HeldAnswer, WireRule } from './runner.ts';
import { addWireEvent, readWireEvent } from './wire-events.ts';

/** Wide enough that dstack never truncates a table. Tables are as wide as their content, so nothing is padded. */
const COLUMNS = '1000';

/** Variables that change how dstack prints, or make it print shell completions. They aren't passed on. */
const LEFT_OUT =
  /^(?:COLUMNS|LINES|FORCE_COLOR|CLICOLOR\w*|COLORTERM|TTY_\w+|_ARGCOMPLETE\w*|COMP_LINE|COMP_POINT|PYTHONIOENCODING|NODE_\w+|DSTACK_MCP_\w+)$/i;

/** Variables with lists of folders from which dstack, and what it starts, loads code. */
export const SEARCH_PATHS = /^(?:PATH|PYTHONPATH)$/i;

/** Removes the empty and relative entries, which mean the working directory: anyone could put code there. */
const absoluteEntries = (list: string): string =>
  list
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .join(path.delimiter);

/** Returns the environment that dstack runs in: the given one, set up for plain, wide, UTF-8 output and a hardened git. */
export function cliEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && !LEFT_OUT.test(name))
      result[name] = SEARCH_PATHS.test(name) ? absoluteEntries(value) : value;
  const output = { COLUMNS, NO_COLOR: '1', TERM: 'dumb', PYTHONIOENCODING: 'utf-8', PYTHONUTF8: '1' };
  return { ...result, ...hardenGit(result), ...output };
}

/** Approved bytes for one file, served by the launcher. */
interface PinnedBytes {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Instructions for the launcher: a gate on dstack's requests, and a file to serve from memory. */
interface Launch {
  readonly launcherPath: string;
  readonly pinned?: PinnedBytes;
  readonly wire?: WireRule;
  /** Answers the gate, if its rule asks before the first change. */
  readonly onHeld?: (requests: readonly WireEvent[]) => Promise<HeldAnswer>;
  /** The process ends itself after this time, whether or not this server still runs. */
  readonly limitMs?: number;
}

export interface SpawnRequest {
  readonly executable: Executable;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Without it, standard input is empty. */
  readonly answer?: 'n';
  /** Open files for the output. Defaults to pipes. */
  readonly output?: { readonly stdout: Writable; readonly stderr: Writable };
  /** Starts the entry script under its interpreter, through the launcher. */
  readonly launch?: Launch;
}

export type Spawned =
  | { readonly kind: 'not-started'; readonly reason: string }
  | {
      readonly kind: 'started';
      readonly pid: number;
      readonly exited: Promise<Ended>;
      /** Null if the output goes to files. */
      readonly stdout: Readable | null;
      readonly stderr: Readable | null;
      /** The gate on its requests; undefined if it runs without the launcher. */
      readonly gate?: Gate;
      /** Lets this process end before dstack does. */
      unref(): void;
    };

/** A report of the gate in dstack's process. */
interface Gate {
  /** Returns the events so far. */
  sofar(): readonly WireEvent[];
  /** Returns all events, once the process has ended. */
  drain(): Promise<readonly WireEvent[]>;
  /** Whether an event couldn't be read. Later ones are ignored, and the process gets no answer. */
  isUnreadable(): boolean;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Starts dstack as the leader of a new process group, without a shell and without any stream of this process. */
export async function spawnDstack(request: SpawnRequest): Promise<Spawned> {
  const { env, cwd, answer, output, launch } = request;
  const [file, args] = commandLineOf(request);
  const child = execa(file, args, {
    env: { ...env },
    extendEnv: false,
    ...(cwd === undefined ? {} : { cwd }),
    stdio: [
      answer === undefined ? 'ignore' : 'pipe',
      output?.stdout ?? 'pipe',
      output?.stderr ?? 'pipe',
      ...(launch === undefined ? [] : (['pipe', 'pipe'] as const)),
    ],
    // A new group can be ended as a whole, and a signal that the client sends to our group doesn't reach it.
    detached: process.platform !== 'win32',
    windowsHide: true,
    reject: false,
    buffer: false,
    stripFinalNewline: false,
  });
  if (child.pid === undefined) {
    const result = await child;
    return { kind: 'not-started', reason: result.originalMessage ?? result.shortMessage ?? 'it could not be started' };
  }
  const exited = new Promise<Ended>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  if (answer !== undefined) send(child.stdio[0], Buffer.from(`${answer}\n`));
  const events: unknown = launch === undefined ? undefined : child.stdio[4];
  const gate = events instanceof Readable ? { gate: collectEvents(events, launchTo(child.stdio[3], launch)) } : {};
  const unref = (): void => {
    child.unref();
    // dstack goes on without a reader: the launcher ignores that.
    if (events instanceof Readable) events.destroy();
  };
  const { pid, stdout, stderr } = child;
  return { kind: 'started', pid, exited, stdout, stderr, ...gate, unref };
}

function commandLineOf({ executable, argv, launch }: SpawnRequest): [string, string[]] {
  if (launch === undefined) return [executable.path, [...argv]];
  if (executable.interpreter === undefined) throw new TypeError('only a Python entry script can be launched');
  return [executable.interpreter, ['-B', launch.launcherPath, executable.path, ...argv]];
}

/** How long a process outside the ended group can delay a finished command by keeping the pipe of the gate open. */
const EVENTS_DRAIN_MS = 500;

/** Answers the gate. Without events, it denies: the process gets no answer. */
type AnswerGate = (requests: readonly WireEvent[] | undefined) => void;

/** Sends the request to the launcher, and returns what answers the gate. */
function launchTo(stream: unknown, launch: Launch | undefined): AnswerGate {
  if (launch === undefined) throw new TypeError('there is nothing to launch');
  const { onHeld } = launch;
  if (onHeld === undefined) {
    send(stream, launchFrame(launch));
    return () => undefined;
  }
  const pipe = openPipe(stream);
  pipe.write(launchFrame(launch));
  return (requests) => {
    if (requests === undefined) pipe.end();
    else void onHeld(requests).then((answer) => pipe.end(`${JSON.stringify(answer)}\n`));
  };
}

/** Collects the events of the gate, one line of JSON each. */
function collectEvents(stream: Readable, answerGate: AnswerGate): Gate {
  const events: WireEvent[] = [];
  let rest = '';
  let isUnreadable = false;
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = readWireEvent(line);
      isUnreadable ||= event === undefined;
      if (event === undefined || isUnreadable) return answerGate(undefined);
      addWireEvent(events, event);
      if (event.event === 'held') answerGate([...events]);
    }
  });
  const ended = finished(stream).catch(() => undefined);
  return {
    sofar: () => [...events],
    async drain() {
      await within(EVENTS_DRAIN_MS, ended);
      stream.destroy();
      return events;
    },
    isUnreadable: () => isUnreadable,
  };
}

/** Encodes a request to the launcher: the length of its description, the description, and the pinned content. */
function launchFrame({ pinned, wire, limitMs }: Launch): Buffer {
  const bytes = pinned?.bytes ?? new Uint8Array();
  const limit = limitMs === undefined ? {} : { limitSeconds: limitMs / 1000 };
  const description = Buffer.from(JSON.stringify({ wire, ...limit, pinned: pinned?.path, pinnedLength: bytes.length }));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(description.length);
  return Buffer.concat([length, description, bytes]);
}

const send = (stream: unknown, bytes: Uint8Array): void => void openPipe(stream).end(bytes);

function openPipe(stream: unknown): Writable {
  if (!(stream instanceof Writable)) throw new TypeError('the pipe to dstack is missing');
  // A process that exits without reading isn't an error here: its exit code tells the rest.
  return stream.on('error', () => undefined);
}

/** Settings that keep a repository's own configuration and hooks from running a program, or from naming a folder as a repository. */
const SETTINGS = [
  ['core.fsmonitor', 'false'],
  ['core.hooksPath', process.platform === 'win32' ? 'NUL' : '/dev/null'],
  ['protocol.ext.allow', 'never'],
  ['safe.bareRepository', 'explicit'],
] as const;

/**
 * Returns variables that harden git, which dstack starts in the folder of a repository. They override every file of git's
 * configuration; existing settings of the same kind are kept before them.
 */
export function hardenGit(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = /^\d{1,3}$/.test(env['GIT_CONFIG_COUNT'] ?? '') ? Number(env['GIT_CONFIG_COUNT']) : 0;
  const pairs = SETTINGS.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${kept + index}`, key],
    [`GIT_CONFIG_VALUE_${kept + index}`, value],
  ]);
  return {
    ...Object.fromEntries(pairs),
    GIT_CONFIG_COUNT: String(kept + SETTINGS.length),
    GIT_TERMINAL_PROMPT: '0',
  };
}
