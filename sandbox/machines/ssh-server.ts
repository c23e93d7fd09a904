import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthContext, Connection, ServerChannel } from 'ssh2';
import ssh2 from 'ssh2';
import { serveUploads } from './sftp.ts';

/** The output and exit code of a command. */
export interface CommandReply {
  readonly stdout: string;
  readonly stderr?: string;
  readonly exitCode: number;
}

/** Accepts a forwarded connection. */
export type Acceptor = (channel: ServerChannel) => void;

/** Options for a simulated SSH server. */
export interface SshServerOptions {
  readonly hostKey: Buffer;
  /** Returns the listener on a forwarded port. The server refuses the connection if undefined. */
  readonly route: (port: number) => Acceptor | undefined;
  readonly runCommand: (command: string) => CommandReply;
  /** The line that an interactive shell prints before it exits. */
  readonly shellText: string;
  readonly onConnectionCount?: (count: number) => void;
  readonly onEvent?: (line: string) => void;
}

/** An SSH server that never listens; connections are passed to it. */
export interface SshServer {
  accept(stream: Duplex): void;
  /** Ends every connection. */
  close(): void;
}

/**
 * Excludes chacha20-poly1305, OpenSSH's first choice. ssh2 1.17 keeps its nonce in one buffer for all connections and writes a packet
 * in parts. A container's connection runs inside its host's connection, whose packets then change the nonce midway, and the client
 * receives garbage ("bad message during authentication").
 */
const NESTABLE_CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'] as const;

/** Creates an SSH server that accepts any public key, forwards to in-process servers and executes nothing. */
export function createSshServer(options: SshServerOptions): SshServer {
  const connections = new Set<Connection>();
  const server = new ssh2.Server(
    { hostKeys: [options.hostKey], algorithms: { cipher: [...NESTABLE_CIPHERS] } },
    (connection) => {
      connections.add(connection);
      options.onConnectionCount?.(connections.size);
      connection.on('authentication', acceptAnyKey);
      connection.on('error', (error: Error) => {
        // Clients that disconnect are not an error.
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
      // ssh2 requires a net.Socket by type, but works with any stream, such as a forwarded channel.
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
    // `accept` is undefined if the client wants no reply.
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
