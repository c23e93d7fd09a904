import { execa } from 'execa';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { CLIENTS, connect } from '../../support/connect.ts';
import { builtServer } from '../../support/paths.ts';

/** Creates a folder for the temporary files of a process and its children. */
async function makeTemporary(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'cmd-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Returns the processes that have this folder in their environment. */
async function processesOf(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')));
  return pids.filter((_, index) => environments[index]?.includes(folder));
}

/** Reads a stream until it has printed these words. @throws Error if it ends before */
function readUntil(stream: Readable, words: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.on('data', (chunk: Buffer | string) => {
      text += chunk.toString();
      if (text.includes(words)) resolve(text);
    });
    stream.once('end', () => reject(new Error(`It ended before "${words}":\n${text}`)));
  });
}

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
  expect(await processesOf(temporary)).toEqual([]);
  expect(await readdir(temporary)).toEqual([]);
});
