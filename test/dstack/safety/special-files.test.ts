import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readRegularFile } from '../../../src/safety/files/regular-files.ts';
import { createWorkspace } from '../../../src/safety/files/workspace.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

test.skipIf(process.platform === 'win32')(
  'a named pipe is refused immediately, without waiting for a writer',
  async () => {
    const folder = emptyFolder();
    execFileSync('mkfifo', [path.join(folder, 'pipe.dstack.yml')]);
    const workspace = createWorkspace({ folders: [folder], home: folder });
    await expect(workspace.readConfiguration('pipe.dstack.yml')).rejects.toMatchObject({
      code: 'invalid-file',
      message: expect.stringContaining('not a regular file'),
    });
  },
);

test('a socket is not a regular file', async () => {
  const socket = path.join(emptyFolder(), 'socket');
  const server = createServer().listen(socket);
  await once(server, 'listening');
  expect(await readRegularFile(socket, 100)).toEqual({ kind: 'not-regular', reason: 'it is not a regular file' });
  server.close();
});
