import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, inject, onTestFinished, test } from 'vitest';
import { writeExecutable } from '../support/write-executable.ts';
import { processesIn } from '../support/processes.ts';
import type { Process } from '../support/processes.ts';
import { ENDS } from '../support/initialized-server.ts';
import { INITIALIZE, startRawServer } from '../support/raw-server.ts';
import type { RawServer } from '../support/raw-server.ts';
import { createTestHome } from '../support/test-home.ts';
import { until } from '../support/wait.ts';

/** A CLI that never exits, with a child process; it may ignore SIGTERM. */
async function hangingCli(deaf: boolean): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-cli-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { cli } = inject('sandbox');
  return writeExecutable(folder, 'dstack', [
    '#!/bin/sh',
    ...(deaf ? ["trap '' TERM INT"] : []),
    'case "$*" in \'ps\') sleep 1000 & while :; do wait; sleep 1; done ;; esac',
    `exec ${cli} "$@"`,
  ]);
}

async function startHanging(home: Awaited<ReturnType<typeof createTestHome>>, deaf: boolean): Promise<RawServer> {
  const DSTACK_MCP_CLI = await hangingCli(deaf);
  const server = startRawServer({ ...home.env, DSTACK_MCP_CLI, DSTACK_MCP_WARM: 'off', DSTACK_MCP_LOG_LEVEL: 'info' });
  server.request(1, 'initialize', INITIALIZE);
  server.request(2, 'tools/call', { name: 'ps', arguments: {} });
  await until(
    () => processesIn(home.home),
    (found) => found.some(({ command }) => command === 'sleep 1000'),
  );
  return server;
}

const untilNobody = (home: string): Promise<readonly Process[]> =>
  until(
    () => processesIn(home),
    (found) => found.length === 0,
  );

test.each(ENDS.slice(0, 3))('%s ends a hanging dstack process and its child', async (_how, end, code) => {
  const home = await createTestHome();
  const server = await startHanging(home, false);
  end(server);
  expect(await server.ended).toEqual(code);
  expect(await processesIn(home.home)).toEqual([]);
});

test('a second signal ends the server immediately, and still leaves no process', async () => {
  const home = await createTestHome();
  const server = await startHanging(home, true);
  server.signal('SIGTERM');
  // Two signals at the same time would count as one.
  await until(
    () => Promise.resolve(server.stderr()),
    (text) => text.includes('ending'),
  );
  server.signal('SIGTERM');
  expect(await server.ended).toEqual({ code: 143, signal: null });
  await untilNobody(home.home);
});
