import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import getPort from 'get-port';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findTunnels } from '../../../sandbox/end-tunnels.ts';
import { startTestSandbox } from '../../support/start-test-sandbox.ts';
import type { TestSandbox } from '../../support/start-test-sandbox.ts';

let sandbox: TestSandbox;

beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(async () => {
  await sandbox?.stop();
});

/** Collects the output of a process and waits for parts of it. */
function collect(child: ChildProcess): {
  readonly text: () => string;
  readonly until: (part: string) => Promise<void>;
} {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return {
    text: () => text,
    until: async (part) => {
      while (!text.includes(part)) {
        if (child.exitCode !== null) throw new Error(`ended without "${part}": ${text}`);
        await delay(20);
      }
    },
  };
}

test('a service with a model answers chat requests through the dstack server', async () => {
  await sandbox.apply({
    type: 'service',
    name: 'llm',
    port: 8000,
    model: 'org/small',
    auth: true,
    commands: ['vllm serve org/small'],
  });
  await sandbox.waitFor('llm', ({ status }) => status === 'running');
  const url = `${sandbox.url}/proxy/services/main/llm/v1/chat/completions`;
  const body = JSON.stringify({ model: 'org/small', messages: [{ role: 'user', content: 'hi' }] });
  const ask = (headers: Record<string, string>): Promise<Response> =>
    fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
  const authorized = { authorization: `Bearer ${sandbox.token}` };
  let answer = await ask(authorized);
  // The run has the status running shortly before its replica is reachable.
  for (; !answer.ok; answer = await ask(authorized)) await delay(100);
  expect((await ask({})).status).toBe(403);
  expect(await answer.json()).toMatchObject({ model: 'org/small', choices: [{ message: { role: 'assistant' } }] });
});

test('dstack attach forwards a port, follows the log and enables SSH, and SIGINT detaches without stopping the run', async () => {
  const port = await getPort({ host: '127.0.0.1' });
  sandbox.controls.scenarios.set('web', {
    script: [
      [0, 'up\n'],
      [300, 'still up\n'],
    ],
    untilStopped: true,
  });
  await sandbox.apply({ type: 'task', name: 'web', ports: [8123], commands: ['python -m http.server 8123'] });
  await sandbox.waitFor('web', ({ status }) => status === 'running');
  const attach = sandbox.spawnDstack('attach', 'web', '--logs', '-p', `${port}:8123`);
  const output = collect(attach);
  await output.until('Press Ctrl+C to detach');
  await output.until('still up');

  const page = await fetch(`http://127.0.0.1:${port}/index.html`);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain('web');
  const config = path.join(sandbox.home, '.dstack', 'ssh', 'config');
  const ssh = await execa('ssh', ['-F', config, 'web', 'hostname'], {
    env: sandbox.env,
    extendEnv: false,
    stdin: 'ignore',
    timeout: 20_000,
  });
  expect(ssh.stdout.trim()).not.toBe('');
  // Neither a simulated container nor an isolated one has the files of this computer.
  const outside = await execa('ssh', ['-F', config, 'web', `cat ${config}`], {
    env: sandbox.env,
    extendEnv: false,
    stdin: 'ignore',
    reject: false,
  });
  expect([outside.exitCode, outside.stdout]).toEqual([sandbox.isolation.kind === 'none' ? 127 : 1, '']);

  const exited = once(attach, 'exit');
  attach.kill('SIGINT');
  expect((await exited)[0]).toBe(0);
  expect(output.text()).toContain('Detached');
  expect((await sandbox.run('web')).status).toBe('running');
});

test('a dev environment prints its editor link and runs until it is stopped', async () => {
  await sandbox.apply({ type: 'dev-environment', name: 'desk', ide: 'vscode' });
  await sandbox.waitFor('desk', ({ status }) => status === 'running');
  let logs = '';
  while (!logs.includes('To exit')) logs = (await sandbox.dstack('logs', 'desk')).output;
  expect(logs).toContain('vscode://vscode-remote/ssh-remote+desk/workflow');
  expect(logs).toContain('To connect via SSH, use: `ssh desk`');
  expect((await sandbox.run('desk')).status).toBe('running');
});

test('stopping the sandbox ends the tunnels of a client that was killed while attached', async () => {
  await sandbox.apply({ type: 'task', name: 'orphan', commands: ['sleep infinity'] });
  await sandbox.waitFor('orphan', ({ status }) => status === 'running');
  const attach = sandbox.spawnDstack('attach', 'orphan');
  await collect(attach).until('Press Ctrl+C to detach');
  const exited = once(attach, 'exit');
  attach.kill('SIGKILL');
  await exited;
  const folder = path.dirname(sandbox.home);
  expect((await findTunnels(folder)).length).toBeGreaterThan(0);
  await sandbox.stop();
  expect(await findTunnels(folder)).toEqual([]);
});
