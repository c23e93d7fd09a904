import { execa } from 'execa';
import { readdir } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { CLIENTS, connect } from '../../support/connect.ts';
import { builtServer } from '../../support/paths.ts';
import { processesNaming } from '../../support/processes.ts';
import { makeTemporary, readUntil } from '../../support/run-command.ts';

const clientSettings = z.object({
  mcpServers: z.object({
    'dstack-sandbox': z.object({
      command: z.string(),
      args: z.array(z.string()),
      env: z.record(z.string(), z.string()),
    }),
  }),
});
test('the sandbox prints a client configuration and leaves nothing behind when interrupted', async () => {
  const temporary = await makeTemporary();
  const sandbox = execa(process.execPath, [builtServer, 'sandbox'], {
    env: { TMPDIR: temporary },
    stdin: 'ignore',
    reject: false,
  });
  onTestFinished(async () => {
    sandbox.kill('SIGTERM');
    await sandbox;
  });
  const printed = await readUntil(sandbox.stdout, 'Press Ctrl+C');
  const start = clientSettings.parse(JSON.parse(/^\{[\s\S]*^\}/m.exec(printed)?.[0] ?? '{}')).mcpServers[
    'dstack-sandbox'
  ];
  expect(start).toMatchObject({ command: process.execPath, args: [builtServer] });
  const client = await connect({ env: start.env, kind: CLIENTS[0] });
  const planned = await client.call('plan', { file: 'train.dstack.yml' });
  expect(planned.facts).toMatchObject({ outcome: 'done', operation: 'create' });
  await client.close();

  sandbox.kill('SIGINT');
  expect((await sandbox).exitCode).toBe(130);
  expect(await processesNaming(temporary)).toEqual([]);
  expect(await readdir(temporary)).toEqual([]);
});
