import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AuthContext, Connection, ServerChannel, Session } from 'ssh2';
import ssh2 from 'ssh2';

/** Accepts a forwarded connection. */
export type Acceptor = (channel: ServerChannel) => void;

/** Options for a simulated SSH server. */
export interface SshServerOptions {
  readonly hostKey: Buffer;
  /** Returns the listener on a forwarded port. The server refuses the connection if undefined. */
  readonly route: (port: number) => Acceptor | undefined;
  /** Returns whether to accept a public key, in base64. */
  readonly acceptsKey: (key: string) => boolean;
  /** Serves a session, until the signal aborts because the client has closed it or is gone. */
  readonly serveSession: (session: Session, closed: AbortSignal) => void;
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

/** sshd's default number of sessions in one connection. */
const MAX_SESSIONS = 10;

/** Creates an SSH server that forwards to in-process servers. */
export function createSshServer(options: SshServerOptions): SshServer {
  const connections = new Set<Connection>();
  const server = new ssh2.Server(
    { hostKeys: [options.hostKey], algorithms: { cipher: [...NESTABLE_CIPHERS] } },
    (connection) => {
      connections.add(connection);
      options.onConnectionCount?.(connections.size);
      connection.on('authentication', (context) => authenticate(context, options));
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

function authenticate(context: AuthContext, { acceptsKey }: SshServerOptions): void {
  if (context.method !== 'publickey' || !acceptsKey(context.key.data.toString('base64'))) {
    return context.reject(['publickey']);
  }
  const { blob, signature, hashAlgo, key } = context;
  // Without a signature, the client only asks which key to use.
  if (blob === undefined || signature === undefined) return context.accept();
  // Not the algorithm of the signature, which has another name for RSA keys.
  const type = key.data.subarray(4, 4 + key.data.readUInt32BE(0)).toString();
  const parsed = ssh2.utils.parseKey(`${type} ${key.data.toString('base64')}`);
  if (parsed instanceof Error || !parsed.verify(blob, signature, hashAlgo)) return context.reject(['publickey']);
  context.accept();
}

function serveConnection(connection: Connection, options: SshServerOptions): void {
  connection.on('tcpip', (accept, reject, { destPort }) => {
    const acceptor = options.route(destPort);
    if (!acceptor) return reject();
    const channel = accept();
    channel.on('error', (error: Error) => options.onEvent?.(`ssh channel to ${destPort}: ${error.message}`));
    acceptor(channel);
  });
  const open = new Set<AbortController>();
  connection.on('close', () => {
    for (const controller of open) controller.abort();
  });
  connection.on('session', (accept, reject) => {
    if (open.size >= MAX_SESSIONS) return reject();
    const session = accept();
    const controller = new AbortController();
    open.add(controller);
    session.on('close', () => {
      open.delete(controller);
      controller.abort();
    });
    options.serveSession(session, controller.signal);
  });
}

function withSocketMethods(stream: Duplex): Duplex {
  const nothing = (): Duplex => stream;
  for (const method of ['setNoDelay', 'setKeepAlive', 'setTimeout']) {
    if (!Reflect.has(stream, method)) Reflect.set(stream, method, nothing);
  }
  return stream;
}
