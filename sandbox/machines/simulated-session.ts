import type { ServerChannel, Session } from 'ssh2';

/** The output and exit code of a command. */
export interface CommandReply {
  readonly stdout: string;
  readonly stderr?: string;
  readonly exitCode: number;
}

/** Answers the commands of a session from memory. Executes nothing. */
export function serveSimulatedSession(
  session: Session,
  { runCommand, shellText }: { runCommand: (command: string) => CommandReply; shellText: string },
): void {
  // `accept` is undefined if the client wants no reply.
  session.on('env', (accept?: () => void) => accept?.());
  session.on('pty', (accept?: () => void) => accept?.());
  session.on('window-change', (accept?: () => void) => accept?.());
  session.on('exec', (accept, _reject, { command }) => finish(accept(), runCommand(command)));
  session.on('shell', (accept) => finish(accept(), { stdout: `${shellText}\r\n`, exitCode: 0 }));
}

/** Ends a session with a reply. */
export function finish(channel: ServerChannel, reply: CommandReply): void {
  if (reply.stdout) channel.write(reply.stdout);
  if (reply.stderr) channel.stderr.write(reply.stderr);
  channel.exit(reply.exitCode);
  channel.end();
}
