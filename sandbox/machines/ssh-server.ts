import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthContext, Connection, ServerChannel } from 'ssh2';
import ssh2 from 'ssh2';
import { serveUploads } from './sftp.ts';

/** What a command prints and how it ends. */
export interface CommandReply {
  readonly stdout: string;
  readonly stderr?: string;
  readonly exitCode: number;
}

/** Takes over one end of a forwarded connection. */
export type Acceptor = (channel: ServerChannel) => void;

/** What an SSH server of the sandbox is made of: answers from memory, and a map of the ports behind it. */
export interface SshServerOptions {
  readonly hostKey: Buffer;
  /** Who listens on a port behind this server; undefined refuses the connection. */
  readonly route: (port: number) => Acceptor | undefined;
  readonly runCommand: (command: string) => CommandReply;
  /** The one line that an interactive shell prints before it ends. */
  readonly shellText: string;
  readonly onConnectionCount?: (count: number) => void;
  readonly onEvent?: (line: string) => void;
}

/** An SSH server that gets its connections handed over and never listens itself. */
export interface SshServer {
  accept(stream: Duplex): void;
  /** Ends every connection. */
  close(): void;
}

/**
 * Without chacha20-poly1305, OpenSSH's first choice: ssh2 1.17 keeps its nonce in one buffer for all connections and writes a packet
 * in parts. A container's connection runs inside a host's, whose own packet then changes the nonce half-way, and the client gets
 * noise ("bad message during authentication").
 */
const NESTABLE_CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'] as const;

/** Makes an SSH server that accepts any public key, forwards to in-process servers and runs nothing. */
export function createSshServer(options: SshServerOptions): SshServer {
  const connections = new Set<Connection>();
  const server = new ssh2.Server(
    { hostKeys: [options.hostKey], algorithms: { cipher: [...NESTABLE_CIPHERS] } },
    (connection) => {
      connections.add(connection);
      options.onConnectionCount?.(connections.size);
      connection.on('authentication', acceptAnyKey);
      connection.on('error', (error: Error) => {
        // clients that just go away are no news
        if (!/ECONNRESET|EPIPE/.test(error.message)) options.onEvent?.(`ssh: ${error.message}`);
      });
      connection.on('close', () => {
        connections.delete(connection);
        options.onConnectionCount?.(connections.size);
      });
      connection.on('ready', () => serveConnection(connection, options));
    },
  );
  return {
    accept: (stream) => {
      // ssh2 asks for a net.Socket but reads and writes a stream; a forwarded channel is one
      Reflect.apply((socket: Socket) => server.injectSocket(socket), undefined, [withSocketMethods(stream)]);
    },
    close: () => {
      for (const connection of connections) connection.end();
    },
  };
}

function acceptAnyKey(context: AuthContext): void {
  if (context.method === 'publickey') context.accept();
  else context.reject(['publickey']);
}

function serveConnection(connection: Connection, options: SshServerOptions): void {
  connection.on('tcpip', (accept, reject, { destPort }) => {
    const acceptor = options.route(destPort);
    if (!acceptor) return reject();
    const channel = accept();
    channel.on('error', (error: Error) => options.onEvent?.(`ssh channel to ${destPort}: ${error.message}`));
    acceptor(channel);
  });
  connection.on('session', (acceptSession) => {
    const session = acceptSession();
    // ssh2 answers only where the client wants an answer; then `accept` is undefined otherwise
    session.on('env', (accept?: () => void) => accept?.());
    session.on('pty', (accept?: () => void) => accept?.());
    session.on('window-change', (accept?: () => void) => accept?.());
    session.on('exec', (accept, _reject, { command }) => finish(accept(), options.runCommand(command)));
    session.on('shell', (accept) => finish(accept(), { stdout: `${options.shellText}\r\n`, exitCode: 0 }));
    session.on('sftp', (accept) => serveUploads(accept()));
  });
}

function finish(channel: ServerChannel, reply: CommandReply): void {
  if (reply.stdout) channel.write(reply.stdout);
  if (reply.stderr) channel.stderr.write(reply.stderr);
  channel.exit(reply.exitCode);
  channel.end();
}

function withSocketMethods(stream: Duplex): Duplex {
  const nothing = (): Duplex => stream;
  for (const method of ['setNoDelay', 'setKeepAlive', 'setTimeout']) {
    if (!Reflect.has(stream, method)) Reflect.set(stream, method, nothing);
  }
  return stream;
}
