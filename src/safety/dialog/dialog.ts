import { spawn } from 'node:child_process';
import { buildDialog, findDialog } from './dialog-commands.ts';
import type { FoundDialog, DialogRequest, DialogAnswer, DialogEnd } from './dialog-commands.ts';

export type DialogAvailability =
  /** `tool` is for a reader, and says which programs are experimental. */
  { readonly kind: 'available'; readonly tool: string } | { readonly kind: 'unavailable'; readonly why: string };

/** Asks the user on their desktop. */
export interface Dialog {
  availability(): DialogAvailability;
  /** Opens the dialog and returns the user's answer. Closes it if the signal aborts (`timed-out`). Never rejects. */
  ask(request: DialogRequest, signal: AbortSignal): Promise<DialogAnswer>;
}

export interface DialogOptions {
  readonly setting: 'auto' | 'off';
  readonly platform?: NodeJS.Platform;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Defaults to a search for the platform's dialog program. */
  readonly search?: typeof findDialog;
}

/** The only program that was tried with real windows. Of the others, only the commands are tested. */
const TRIED = 'zenity';

/** Creates the dialogs of this machine. One is open at a time; the others wait. */
export function createDialog({
  setting,
  platform = process.platform,
  env = process.env,
  search = findDialog,
}: DialogOptions): Dialog {
  const find = (): FoundDialog =>
    setting === 'off' ? { kind: 'unavailable', why: 'dialogs are disabled' } : search({ platform, env });
  let turn: Promise<unknown> = Promise.resolve();
  const show = async (request: DialogRequest, signal: AbortSignal): Promise<DialogAnswer> => {
    const found = find();
    if (found.kind === 'unavailable') return found;
    if (signal.aborted) return { kind: 'timed-out' };
    const command = buildDialog(found.tool, request);
    const ended = await run({
      file: found.file,
      args: command.args,
      stdin: command.stdin,
      env: desktopEnv(env),
      signal,
      timeoutMs: request.timeoutMs,
    });
    if (ended.kind === 'not-started') return { kind: 'unavailable', why: ended.why };
    return command.read(ended);
  };
  return {
    availability() {
      const found = find();
      if (found.kind === 'unavailable') return found;
      return { kind: 'available', tool: found.tool === TRIED ? found.tool : `${found.tool} (experimental)` };
    },
    ask(request, signal) {
      const answered = turn.then(() => show(request, signal));
      turn = answered;
      return answered;
    },
  };
}

interface RunOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly stdin: string;
  readonly env: Record<string, string>;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

type Ended = ({ readonly kind: 'ended' } & DialogEnd) | { readonly kind: 'not-started'; readonly why: string };

function run({ file, args, stdin, env, signal, timeoutMs }: RunOptions): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(file, [...args], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      windowsHide: true,
      signal,
      // What is left of a token's time isn't a whole number, and Node refuses any other.
      timeout: Math.ceil(timeoutMs),
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      // A typed name is short; longer output isn't a name.
      child[name].on('data', (chunk: string) => (output[name] = (output[name] + chunk).slice(0, 10_000)));
    }
    // Node reports an abort as an error, but the process did run: the `close` event follows with how it ended.
    child.on('error', (error) => child.pid === undefined && resolve({ kind: 'not-started', why: error.message }));
    child.on('close', (code) => resolve({ kind: 'ended', code, ...output }));
    // The program may not read its input.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

const DESKTOP_VARIABLES = (
  'PATH HOME USER LOGNAME LANG LC_ALL LC_CTYPE TMPDIR DISPLAY WAYLAND_DISPLAY XAUTHORITY XDG_RUNTIME_DIR XDG_SESSION_TYPE ' +
  'XDG_CURRENT_DESKTOP XDG_DATA_DIRS DBUS_SESSION_BUS_ADDRESS SystemRoot windir TEMP TMP USERPROFILE APPDATA LOCALAPPDATA SystemDrive'
).split(' ');

/** Returns the variables that a desktop program needs, and none of the secrets in this process's environment. */
export function desktopEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(DESKTOP_VARIABLES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
