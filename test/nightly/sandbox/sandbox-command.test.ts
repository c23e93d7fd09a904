import { execa } from 'execa';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
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

/** Starts `dstack-mcp sandbox`, and waits until it prints how to connect to it. */
async function startSandboxCommand(env: Readonly<Record<string, string>>) {
  const sandbox = execa(process.execPath, [builtServer, 'sandbox'], { env, stdin: 'ignore', reject: false });
  onTestFinished(async () => {
    sandbox.kill('SIGTERM');
    await sandbox;
  });
  const printed = await readUntil(sandbox.stdout, 'to free its space');
  const { mcpServers } = clientSettings.parse(JSON.parse(/^\{[\s\S]*^\}/m.exec(printed)?.[0] ?? '{}'));
  return { sandbox, printed, start: mcpServers['dstack-sandbox'] };
}

test('the configuration of a client is the same at each start, and nothing is left behind when interrupted', async () => {
  const temporary = await makeTemporary();
  const stateDir = path.join(await makeTemporary(), 'state');
  const env = { TMPDIR: temporary, DSTACK_MCP_STATE_DIR: stateDir };
  const first = await startSandboxCommand(env);
  expect(first.start).toMatchObject({ command: process.execPath, args: [builtServer] });
  expect(first.printed).toMatch(/node \S+ setup <client> --sandbox/);

  const second = await execa(process.execPath, [builtServer, 'sandbox'], { env, stdin: 'ignore', reject: false });
  expect(second).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('A sandbox is already running') });

  const client = await connect({ env: first.start.env, kind: CLIENTS[0] });
  const planned = { outcome: 'done', operation: 'create' };
  expect((await client.call('plan', { file: 'train.dstack.yml' })).facts).toMatchObject(planned);
  first.sandbox.kill('SIGINT');
  expect((await first.sandbox).exitCode).toBe(130);
  expect(await processesNaming(temporary)).toEqual([]);
  expect(await readdir(temporary)).toEqual([]);
  expect((await client.call('plan', { file: 'train.dstack.yml' })).facts).toMatchObject({ code: 'sandbox-ended' });
  expect(await readdir(path.join(stateDir, 'sandbox'))).toEqual(['state']);

  const third = await startSandboxCommand(env);
  expect(third.start).toEqual(first.start);
  expect((await client.call('plan', { file: 'train.dstack.yml' })).facts).toMatchObject(planned);
  await client.close();
  // A killed sandbox leaves its lock, which the next one takes over.
  third.sandbox.kill('SIGKILL');
  await third.sandbox;
  const fourth = await startSandboxCommand(env);
  fourth.sandbox.kill('SIGINT');
  await fourth.sandbox;
  expect(await processesNaming(temporary)).toEqual([]);
  expect(await readdir(path.join(stateDir, 'sandbox'))).toEqual(['state']);
});

test('without a client, the sandbox leaves no folder behind', async () => {
  const parent = await makeTemporary();
  const env = { TMPDIR: await makeTemporary(), DSTACK_MCP_STATE_DIR: path.join(parent, 'state') };
  const { sandbox } = await startSandboxCommand(env);
  sandbox.kill('SIGINT');
  await sandbox;
  expect(await readdir(parent)).toEqual([]);
});
