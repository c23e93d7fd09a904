import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import type { AtEnd } from './connect.ts';

/** Makes a server listen on a free port of loopback, and stops it in the end. Returns the port. */
export async function listenOnLoopback(server: Server | SecureServer, atEnd: AtEnd = onTestFinished): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(async () => {
    server.closeAllConnections();
    await promisify(server.close.bind(server))();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it listens on no port');
  return address.port;
}
