import { once } from 'node:events';
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import ssh2 from 'ssh2';

/** Connects to an SSH server with a key. */
export async function connectSsh(
  to: { host: string; port: number } | { sock: Duplex },
  privateKey: Buffer | string,
): Promise<ssh2.Client> {
  const connection = new ssh2.Client();
  const ready = once(connection, 'ready');
  connection.connect({ ...to, username: 'root', privateKey });
  await ready;
  return connection;
}

/** Opens a connection to a port of the machine. */
export async function forward(through: ssh2.Client, port: number): Promise<Duplex> {
  return await new Promise((resolve, reject) => {
    through.forwardOut('127.0.0.1', 1, 'localhost', port, (error, channel) =>
      error ? reject(error) : resolve(channel),
    );
  });
}

/** Calls an API on a port of the machine, such as `POST /api/tasks`. */
export async function callPort(
  through: ssh2.Client,
  { port, line, body }: { readonly port: number; readonly line: string; readonly body?: unknown },
): Promise<unknown> {
  const [method = 'GET', target = '/'] = line.split(' ');
  const channel = await forward(through, port);
  const message = request({ method, path: target, createConnection: () => channel });
  message.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(message, 'response');
  const answer = await text(response);
  return answer.startsWith('{') ? JSON.parse(answer) : answer;
}
