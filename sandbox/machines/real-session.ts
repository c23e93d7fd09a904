import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import pLimit from 'p-limit';
import type { PseudoTtyInfo, ServerChannel, Session } from 'ssh2';
import { CONTAINER_PATH } from './namespace.ts';
import type { Namespace } from './namespace.ts';
import { finish } from './simulated-session.ts';

/** The variables that the sshd of dstack's containers accepts from a client. */
const ACCEPTED = /^(?:LANG|LC_\w+|COLORTERM|NO_COLOR)$/;

/** OpenSSH's SFTP server, by system. */
export const SFTP_SERVERS = ['/usr/lib/openssh', '/usr/libexec/openssh', '/usr/lib/ssh', '/usr/libexec'].map(
  (folder) => `${folder}/sftp-server`,
);

/** The signals that the protocol names. */
const SIGNALS: ReadonlySet<NodeJS.Signals> = new Set([
  ...(['SIGABRT', 'SIGALRM', 'SIGFPE', 'SIGHUP', 'SIGILL', 'SIGINT', 'SIGKILL'] as const),
  ...(['SIGPIPE', 'SIGQUIT', 'SIGSEGV', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const),
]);

/** Runs the commands of a session in a container, as sshd does there: as root, in root's home, without the variables of the run. */
export function serveRealSession(
  session: Session,
  { enter, closed }: { enter: () => Promise<Namespace>; closed: AbortSignal },
): void {
  const variables: Record<string, string> = {
    USER: 'root',
    LOGNAME: 'root',
    HOME: '/root',
    PATH: CONTAINER_PATH,
    SHELL: '/bin/bash',
    MAIL: '/var/mail/root',
    SSH_CLIENT: '127.0.0.1 50000 10022',
    SSH_CONNECTION: '127.0.0.1 50000 127.0.0.1 10022',
  };
  let terminal: PseudoTtyInfo | undefined;
  const start = (channel: ServerChannel, command: readonly string[]): void => {
    const whole = terminal ? inTerminal(command, terminal) : command;
    void run(channel, closed, async () => (await enter()).spawn(whole, variables));
  };
  // `accept` is undefined if the client wants no reply.
  session.on('env', (accept: (() => void) | undefined, reject: (() => void) | undefined, { key, val }) => {
    if (!ACCEPTED.test(key)) return reject?.();
    variables[key] = val;
    accept?.();
  });
  session.on('pty', (accept: (() => void) | undefined, _reject, info) => {
    terminal = info;
    variables['TERM'] = info.term;
    accept?.();
  });
  session.on('exec', (accept, _reject, { command }) => start(accept(), ['bash', '-c', command]));
  session.on('shell', (accept) => start(accept(), ['bash', '-l']));
  session.on('subsystem', (accept, _reject, { name }) => {
    const server = name === 'sftp' ? SFTP_SERVERS.find((file) => existsSync(file)) : undefined;
    // ssh2 doesn't close the channel of a rejected request: the client of a shared connection would wait forever.
    if (server === undefined) fail(accept(), new Error(`This computer has no server for the subsystem ${name}`));
    else start(accept(), [server]);
  });
}

/** Runs a command in a pseudo terminal, with the client's size at the start. */
function inTerminal(command: readonly string[], { rows, cols }: PseudoTtyInfo): string[] {
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  return ['script', '--quiet', '--return', '--command', `stty rows ${rows} cols ${cols}; exec ${quoted}`, '/dev/null'];
}

async function run(
  channel: ServerChannel,
  closed: AbortSignal,
  start: () => Promise<ChildProcessWithoutNullStreams>,
): Promise<void> {
  let child: ChildProcessWithoutNullStreams;
  try {
    child = await start();
  } catch (error) {
    return fail(channel, error);
  }
  // A client that is gone closes the pipes, and nothing else: a command that doesn't use them runs on, as with sshd.
  const closePipes = (): void => {
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  };
  if (closed.aborted) closePipes();
  closed.addEventListener('abort', closePipes);
  child.on('error', (error) => fail(channel, error));
  // Not after the output: a process in the background can keep that open.
  const exited = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      reportExit(channel, code, signal);
      resolve();
    });
  });
  child.stdin.on('error', () => undefined);
  // Nobody reads what the client still sends.
  child.stdin.on('close', () => channel.resume());
  channel.pipe(child.stdin);
  const closedChannel = once(channel, 'close');
  const turns = pLimit(1);
  const forward = async (from: Readable, to: Writable): Promise<void> => {
    for await (const chunk of from) await turns(() => Promise.race([write(to, chunk), closedChannel]));
  };
  // What is still printed after the channel was closed is lost.
  const forwarded = [forward(child.stdout, channel), forward(child.stderr, channel.stderr)];
  await Promise.all([exited, ...forwarded.map((stream) => stream.catch(() => undefined))]);
  channel.stderr.end(() => channel.end());
}

/**
 * Waits until the client has room for it. Only one of both outputs may wait: when the client makes room, ssh2 goes on with standard output
 * and forgets standard error (lib/server.js, `_waitWindow`).
 */
const write = (to: Writable, chunk: unknown): Promise<void> =>
  new Promise((resolve) => {
    to.write(chunk, () => resolve());
  });

function reportExit(channel: ServerChannel, code: number | null, signal: NodeJS.Signals | null): void {
  if (code !== null) channel.exit(code);
  // The protocol has no names for others. Without one, ssh exits with 255 as well.
  else if (signal !== null && SIGNALS.has(signal)) channel.exit(signal.slice('SIG'.length), false, '');
}

function fail(channel: ServerChannel, error: unknown): void {
  finish(channel, { stdout: '', stderr: `${String(error)}\n`, exitCode: 255 });
}
