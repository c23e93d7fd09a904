import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { onAbort, promiseWithResolvers } from '../core/waiting.ts';
import { killOnExit } from '../dstack/run/processes.ts';
import type { SshContext } from '../attachments/attachment-processes.ts';
import { createReportFilter, remoteCommand } from './remote-shell.ts';
import type { RemoteEnd, RemoteLeader, RemoteProcess, RemoteShell, RemoteStart } from './remote-shell.ts';

/** The master connection of an attachment. */
export interface SharedConnection {
  readonly ssh: SshContext;
  readonly controlSocket: string;
}

// Without the master, ssh connects to the destination itself: that is a closed port of this computer, and any host there is unknown. No
// configuration is read, because the master has the only connection that is wanted.
const ONLY_SHARED = [
  ['ControlMaster', 'no'],
  ['BatchMode', 'yes'],
  ['HostName', '127.0.0.1'],
  ['Port', '1'],
  ['StrictHostKeyChecking', 'yes'],
  ['UserKnownHostsFile', '/dev/null'],
  ['LogLevel', 'ERROR'],
].flatMap(([name, value]) => ['-o', `${name}=${value}`]);

/** ssh's message once it tried that port: it doesn't after a session was opened. */
const NOT_SHARED = /^ssh: connect to host 127\.0\.0\.1 port 1: /m;

/** Returns the arguments of ssh: nothing in them but the socket's path and the encoded command is variable. */
export function sshArguments(controlSocket: string, command: string): readonly string[] {
  const socket = controlSocket.replaceAll('%', '%%');
  return ['-F', 'none', '-T', '-S', socket, ...ONLY_SHARED, '--', 'run', command];
}

/** Creates the shell of a job whose attachment has this master connection. It never connects by another way. */
export function createSshShell({ ssh, controlSocket }: SharedConnection): RemoteShell {
  return {
    start(program, options) {
      const mark = randomBytes(12).toString('hex');
      const argv = sshArguments(controlSocket, remoteCommand(program, mark));
      return startSsh({ argv, ssh, mark, ...options });
    },
  };
}

interface SshStart extends RemoteStart {
  readonly argv: readonly string[];
  readonly ssh: SshContext;
  readonly mark: string;
}

/** The end of standard error, for the message of ssh itself. */
const MESSAGE_BYTES = 1_000;

function startSsh({ argv, ssh, mark, signal, ...files }: SshStart): RemoteProcess {
  const { stdin: input = 'pipe', stdout: output = 'pipe' } = files;
  // A group, so that no signal to this server's own group reaches it.
  const options: SpawnOptions = { env: ssh.env, detached: true, windowsHide: true, stdio: [input, output, 'pipe'] };
  const child = spawn(ssh.env['DSTACK_SSH_CLIENT'] ?? 'ssh', argv, options);
  const { stdin, stdout, stderr: errors } = streamsOf(child);
  const leader = promiseWithResolvers<RemoteLeader | undefined>();
  const ended = promiseWithResolvers<RemoteEnd>();
  let hasStarted = false;
  let exit: RemoteEnd | undefined;
  const stderr = createReportFilter(mark, ([what, ...words]) => {
    hasStarted = true;
    if (what === 'start') leader.resolve({ pid: Number(words[0]), startedAt: words[1] ?? '' });
    else exit = { kind: 'exited', exitCode: Number(words[0]) };
    // The master may still write to a file.
    if (exit !== undefined && output === 'pipe') ended.resolve(exit);
  });
  let printed = '';
  errors.on('data', (chunk: Buffer) => {
    printed = (printed + chunk.toString()).slice(-MESSAGE_BYTES);
  });
  // A pipe breaks when ssh ends; what that means is in `ended`.
  for (const stream of [stdin, stdout, errors, stderr]) stream.on('error', () => undefined);
  errors.pipe(stderr);
  const close = (end: RemoteEnd): void => {
    leader.resolve(undefined);
    ended.resolve(end);
  };
  const kill = (): void => {
    child.kill('SIGKILL');
    // The master has the same pipes, and keeps them open until the program in the job has ended.
    for (const stream of [stdin, stdout, errors, stderr]) stream.destroy();
    close({ kind: 'lost', message: 'It was given up.' });
  };
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      close({ kind: 'not-started', message: String(error) });
      resolve();
    });
  });
  child.once('close', (code) => close(exit ?? endOf({ code, hasStarted, printed })));
  if (child.pid !== undefined) killOnExit({ pid: child.pid, exited });
  void exited.then(onAbort(signal, kill));
  return { stdin, stdout, stderr, leader: leader.promise, ended: ended.promise, kill };
}

/** Returns the streams of a program. In place of one that is a file, there is one with nothing in it. */
export const streamsOf = ({ stdin, stdout, stderr }: ChildProcess) => ({
  stdin: stdin ?? new PassThrough(),
  stdout: stdout ?? Readable.from([]),
  stderr: stderr ?? Readable.from([]),
});

interface SshEnd {
  readonly code: number | null;
  readonly hasStarted: boolean;
  readonly printed: string;
}

/** ssh's own exit code. */
const SSH_FAILED = 255;

/** Returns the end of a program that has reported none. */
function endOf({ code, hasStarted, printed }: SshEnd): RemoteEnd {
  const own = printed.split('\u001e').filter((_, at) => at % 2 === 0);
  const message = own.join('').trim() || `ssh ended with ${code ?? 'a signal'}`;
  const reachedNothing = NOT_SHARED.test(printed) || (code !== null && code !== SSH_FAILED);
  return !hasStarted && reachedNothing ? { kind: 'not-started', message } : { kind: 'lost', message };
}
