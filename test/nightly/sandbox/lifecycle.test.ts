import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa, execaNode } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findTunnels } from '../../../sandbox/end-tunnels.ts';
import { isOver, startTestSandbox, testOptions } from '../../support/start-test-sandbox.ts';
import type { TestSandbox } from '../../support/start-test-sandbox.ts';
import { fixture } from '../../support/paths.ts';

let shared: TestSandbox;

beforeAll(async () => {
  shared = await startTestSandbox();
});
afterAll(async () => {
  await shared?.stop();
});

async function answers(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => true,
    () => false,
  );
}

test('two sandboxes are independent, and stopping one leaves nothing of it behind', async () => {
  const [first, second] = [await startTestSandbox(), shared];
  const folder = path.dirname(first.home);
  await Promise.all(
    [first, second].map((sandbox) => sandbox.apply({ type: 'task', name: 'both', commands: ['echo hello'] })),
  );
  await Promise.all([first, second].map((sandbox) => sandbox.waitFor('both', isOver)));
  expect((await findTunnels(folder)).length).toBeGreaterThan(0);

  await first.stop();
  expect(existsSync(folder)).toBe(false);
  expect(await findTunnels(folder)).toEqual([]);
  expect(await answers(first.url)).toBe(false);
  expect(await answers(second.controls.cloud.proxyUrl)).toBe(true);
  expect(await answers(first.controls.cloud.proxyUrl)).toBe(false);
  expect((await second.run('both')).status).toBe('done');
}, 240_000);

test('a restarted server has the same port and its previous runs', async () => {
  const sandbox = shared;
  sandbox.controls.scenarios.set('survivor', { untilStopped: true, script: [[0, 'working\n']] });
  await sandbox.apply({ type: 'task', name: 'survivor', commands: ['echo not played'] });
  await sandbox.waitFor('survivor', ({ status }) => status === 'running');
  await sandbox.controls.stopServer();
  expect(await answers(sandbox.url)).toBe(false);
  // The machines are still running, so the sandbox itself must have ended the tunnels to them.
  expect(await findTunnels(path.dirname(sandbox.home))).toEqual([]);
  const unreachable = await sandbox.dstack('ps');
  expect(unreachable.exitCode).toBe(1);
  expect(unreachable.output).toContain(`Failed to connect to dstack server ${sandbox.url}`);
  await sandbox.controls.startServer();
  expect((await sandbox.run('survivor')).status).toBe('running');
  await sandbox.dstack('stop', 'survivor', '-y');
  expect((await sandbox.waitFor('survivor', isOver)).status).toBe('terminated');
});

test('another home has its own CLI configuration', async () => {
  const { home, workspace, env } = await shared.createHome({ token: 'wrong' });
  expect(home).not.toBe(shared.home);
  expect(await readdir(workspace)).toEqual([]);
  // Without this file the CLI would check for updates on the internet.
  expect(await readdir(path.join(home, '.cache', '.dstack', 'cli'))).toEqual(['last_check']);
  const denied = await execa(shared.cli, ['ps'], { env, extendEnv: false, cwd: workspace, reject: false, all: true });
  expect(denied.exitCode).toBe(1);
  expect(denied.all).toContain('is denied.');
});

test('a killed sandbox leaves no process and no folder behind', async () => {
  const script = fixture('executables', 'run-sandbox.ts');
  const parent = execaNode(script, [JSON.stringify(testOptions)], { nodeOptions: ['--import', 'tsx'], reject: false });
  const first: IteratorResult<string> = await parent.iterable().next();
  const line = first.done === true ? '' : first.value;
  const [url = '', folder = ''] = line.split(' ');
  expect(await answers(`${url}/healthcheck`)).toBe(true);
  while ((await findTunnels(folder)).length === 0) await delay(50);
  parent.kill('SIGKILL');
  await parent;
  while ((await answers(url)) || existsSync(folder) || (await findTunnels(folder)).length > 0) await delay(50);
});
