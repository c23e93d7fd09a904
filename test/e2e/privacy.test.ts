import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { stopRuns, waitForStatus } from '../support/ask-server.ts';
import { listenOnLoopback } from '../support/listen-on-loopback.ts';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until, waitForLog, waitForRun } from '../support/wait.ts';

/** A proxy that records which hosts programs want to reach, and lets them reach none. */
async function startRecordingProxy(): Promise<{ env: Record<string, string>; hosts: string[] }> {
  const hosts: string[] = [];
  const proxy = createServer((request, response) => {
    hosts.push(request.url ?? '');
    response.writeHead(502).end();
  });
  proxy.on('connect', (request, socket) => {
    hosts.push(request.url ?? '');
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  const url = `http://127.0.0.1:${await listenOnLoopback(proxy)}`;
  const env = { HTTP_PROXY: url, HTTPS_PROXY: url, ALL_PROXY: url, NO_PROXY: '127.0.0.1,localhost' };
  const inLowerCase = Object.entries(env).map(([name, value]) => [name.toLowerCase(), value]);
  return { hosts, env: { ...env, ...Object.fromEntries(inLowerCase) } };
}

const lastCheck = (home: TestHome): string => path.join(home.home, '.cache', '.dstack', 'cli', 'last_check');

test('the dstack CLI itself asks for updates once a day', async () => {
  const home = await createTestHome();
  const proxy = await startRecordingProxy();
  await rm(lastCheck(home));
  const options = { env: { ...home.env, ...proxy.env }, extendEnv: false, reject: false } as const;
  await execa(home.env['DSTACK_MCP_CLI'] ?? '', ['ps'], options);
  expect(proxy.hosts).toEqual(['get.dstack.ai:443']);
  expect(existsSync(lastCheck(home))).toBe(true);
});

/** A client whose dstack may reach the dstack server alone, and calls as if each were the first one of the day. */
async function connectQuietly(warm: string) {
  const home = await createTestHome();
  const { hosts, env } = await startRecordingProxy();
  const client = await connect({ env: { ...home.env, ...env, DSTACK_MCP_WARM: warm } });
  const call = async (tool: string, input: Readonly<Record<string, unknown>> = {}) => {
    await rm(lastCheck(home), { force: true });
    const { facts, text } = await client.call(tool, input);
    expect(facts['outcome'], `${tool}: ${text}`).toBe('done');
    return facts;
  };
  return { home, hosts, client, call };
}

test('no host but the dstack server is contacted by any tool, with every command the first one of the day', async () => {
  const { home, hosts, client, call } = await connectQuietly('on');
  const name = uniqueName('quiet');
  onTestFinished(() => stopRuns(name));
  const service = { type: 'service', port: 8000, auth: false, fleets: ['on-prem'] };
  const commands = ['echo the first line', 'serve'];
  const file = await home.write('quiet.dstack.yml', { ...task(name, { commands }), ...service });
  await call('doctor');
  await call('config', { action: 'validate', file });
  const { token } = await call('plan', { file });
  await call('apply', { token });
  await waitForStatus(name, 'running');
  await waitForLog(client, name, 'the first line');
  for (const tool of ['ps', 'fleet', 'offer', 'event']) await call(tool);
  await call('logs', { run: name });
  await call('metrics', { run: name });
  await call('help', { command: 'apply' });
  await call('list', { type: 'volumes' });
  // Always a plain process.
  await call('attach', { run: name });
  await call('attach', { action: 'stop', run: name });
  await waitForRun(client, name, 'ready');
  await until(
    () => client.call('request', { run: name }),
    ({ facts }) => facts['state'] === 'warm',
  );
  const preview = await call('stop', { run: name });
  await call('apply', { token: preview['token'] });
  expect(hosts).toEqual([]);
});

// Every plain process is started in the same way, so one command of each kind will do.
test('nor by a plain process, with every command the first one of the day', async () => {
  const { home, hosts, call } = await connectQuietly('off');
  const name = uniqueName('quiet');
  onTestFinished(() => stopRuns(name));
  const file = await home.write('quiet.dstack.yml', task(name));
  await call('config', { action: 'validate', file });
  const { token } = await call('plan', { file });
  await call('apply', { token });
  expect(hosts).toEqual([]);
});
