import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { execa } from 'execa';
import type ssh2 from 'ssh2';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Scenarios } from '../../../sandbox/machines/scenarios.ts';
import { SimulatedHost } from '../../../sandbox/machines/simulated-host.ts';
import { callPort, connectSsh, forward } from '../../support/machine-client.ts';

const SHIM = 10_998;
const RUNNER = 10_999;
const CONTAINER_SSH = 10_022;

let folder: string;
let hostKey: Buffer;
/** The same key as a line of authorized_keys. */
let publicKey: string;
let scenarios: Scenarios;
let host: SimulatedHost;
let client: ssh2.Client;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'simulated-host-'));
  const keyFile = path.join(folder, 'key');
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile]);
  hostKey = await readFile(keyFile);
  publicKey = await readFile(`${keyFile}.pub`, 'utf8');
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  scenarios = new Scenarios();
  const hardware = { gpuCount: 2, cpus: 8, memoryBytes: 2 ** 35, diskBytes: 2 ** 38, address: '10.0.0.1/24' };
  host = await SimulatedHost.start(
    {
      name: 'one',
      hardware,
      hostKey,
      scenarios,
      dstackVersion: '0.22.5',
      isolation: { kind: 'none', reason: 'not here' },
    },
    { address: '127.0.0.1' },
  );
  client = await connectSsh({ host: host.address, port: host.port }, hostKey);
});

afterEach(async () => {
  client.end();
  await host.stop();
});

async function call(port: number, line: string, body?: unknown, through = client): Promise<unknown> {
  return await callPort(through, { port, line, body });
}

async function runCommand(on: ssh2.Client, command: string): Promise<{ stdout: string; code: number }> {
  const channel = await new Promise<ssh2.ClientChannel>((resolve, reject) => {
    on.exec(command, (error, opened) => (error ? reject(error) : resolve(opened)));
  });
  const ended = once(channel, 'close');
  channel.stderr.resume();
  const stdout = await text(channel);
  const [code] = await ended;
  return { stdout, code: Number(code) };
}

function submissionOf(configuration: Record<string, unknown>): unknown {
  return {
    run: { run_spec: { run_name: 'run', configuration } },
    job_spec: {
      replica_num: 0,
      job_num: 0,
      jobs_per_replica: 1,
      commands: [],
      env: { WHO: 'you' },
      max_duration: null,
    },
    cluster_info: null,
  };
}

async function startJob(configuration: Record<string, unknown>): Promise<void> {
  const keys = { container_ssh_keys: [publicKey] };
  await call(SHIM, 'POST /api/tasks', { id: 'a', name: 'run-0-0', network_mode: 'host', gpu: -1, ...keys });
  await call(RUNNER, 'POST /api/submit', submissionOf(configuration));
  await call(RUNNER, 'POST /api/run', {});
}

/** Reads the log as an attached CLI does, until the job has finished or the log contains `until`. */
async function followLog(until?: string): Promise<{ log: string; closeCode: number | undefined }> {
  const channel = await forward(client, RUNNER);
  const socket = new WebSocket('ws://localhost/logs_ws', {
    // ws requires a socket by type, but works with any stream.
    createConnection: () => Object.assign(channel, { setNoDelay: () => channel, setTimeout: () => channel }),
  });
  let log = '';
  return await new Promise((resolve) => {
    socket.on('message', (data) => {
      log += Buffer.isBuffer(data) ? data.toString() : '';
      if (until !== undefined && log.includes(until)) resolve({ log, closeCode: undefined });
    });
    socket.on('close', (closeCode) => resolve({ log, closeCode }));
  });
}

describe('a simulated host', () => {
  test('reports its hardware when the server adds it to a fleet', async () => {
    const { stdout } = await runCommand(client, 'sudo cat /root/.dstack/host_info.json');
    expect(JSON.parse(stdout)).toMatchObject({ gpu_count: 2, cpus: 8, addresses: ['10.0.0.1/24'] });
  });

  test('runs a job from submission to exit and streams its log', async () => {
    await startJob({ type: 'task', commands: ['echo hello $WHO', 'sleep 0.1', 'exit 3'] });
    expect(await followLog()).toEqual({ log: 'hello you\n', closeCode: 1000 });
    expect(await call(RUNNER, 'GET /api/pull?timestamp=0')).toMatchObject({
      has_more: false,
      job_states: [{ state: 'running' }, { state: 'failed', exit_status: 3 }],
    });
  });

  test('follows the scenario of a run instead of its commands', async () => {
    scenarios.set('run', {
      script: [
        [0, 'one\n'],
        [10, 'two\n'],
      ],
      exitCode: 0,
    });
    await startJob({ type: 'task', commands: ['echo other'] });
    expect((await followLog()).log).toBe('one\ntwo\n');
  });

  test('reports an image that cannot be pulled', async () => {
    scenarios.set('run', { pullError: 'manifest unknown' });
    await call(SHIM, 'POST /api/tasks', { id: 'a', name: 'run-0-0', network_mode: 'host', gpu: 0 });
    expect(await call(SHIM, 'GET /api/tasks/a')).toMatchObject({
      status: 'terminated',
      termination_reason: 'creating_container_error',
      termination_message: 'manifest unknown',
    });
  });

  test('keeps a service up until it is stopped, reachable only inside the container', async () => {
    await startJob({
      type: 'service',
      port: { container_port: 8000 },
      model: { name: 'some/model' },
      commands: ['serve'],
    });
    await followLog('+ serve');
    const container = await connectSsh({ sock: await forward(client, CONTAINER_SSH) }, hostKey);
    expect(await call(8000, 'GET /v1/models', undefined, container)).toMatchObject({ data: [{ id: 'some/model' }] });
    await expect(forward(client, 8000)).rejects.toThrow(/channel open failure/i);
    container.end();
    await call(RUNNER, 'POST /api/stop', {});
    expect((await followLog()).closeCode).toBe(1000);
    expect(await call(RUNNER, 'GET /api/pull?timestamp=0')).toMatchObject({
      job_states: [{ state: 'running' }, { state: 'terminated', termination_reason: 'terminated_by_user' }],
    });
  });

  test('a model refuses connections while it loads, then streams an answer without an end', async () => {
    const scenario = { loadMs: Infinity, model: { isEndless: true, firstTokenMs: 0, tokenMs: 0 } };
    scenarios.set('run', scenario);
    await startJob({ type: 'service', port: { container_port: 8000 }, model: { name: 'm' }, commands: ['serve'] });
    const container = await connectSsh({ sock: await forward(client, CONTAINER_SSH) }, hostKey);
    await expect(forward(container, 8000)).rejects.toThrow(/channel open failure/i);
    scenario.loadMs = 0;
    const channel = await forward(container, 8000);
    const question = JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] });
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\nContent-Length: ${question.length}\r\n\r\n`;
    channel.write(head + question);
    let received = '';
    for await (const part of channel) {
      received += String(part);
      if (received.length > 20_000) break;
    }
    expect(received).toContain('HTTP/1.1 200 OK');
    container.end();
  });

  test('answers commands over a nested SSH connection at any packet count of the outer one', async () => {
    await startJob({ type: 'dev-environment', commands: [] });
    for (let round = 0; round < 3; round += 1) {
      // Extra packets on the outer connection give it another packet count than the inner one.
      for (let extra = 0; extra <= round; extra += 1) await runCommand(client, 'uname -m');
      const container = await connectSsh({ sock: await forward(client, CONTAINER_SSH) }, hostKey);
      expect(await runCommand(container, 'hostname')).toEqual({ stdout: 'run-0-0\n', code: 0 });
      expect((await runCommand(container, 'nvidia-smi')).stdout.split('\n')).toHaveLength(3);
      expect(await runCommand(container, 'rm -rf /')).toEqual({ stdout: '', code: 127 });
      container.end();
    }
  });

  test('never forwards to a port of the real machine', async () => {
    await expect(forward(client, host.port)).rejects.toThrow(/channel open failure/i);
  });

  test('closes all connections and its port when stopped', async () => {
    await startJob({ type: 'task', commands: ['sleep infinity'] });
    const { address, port } = host;
    const closed = once(client, 'close');
    await host.stop();
    await closed;
    expect(host.tasks).toEqual([]);
    const socket = connect(port, address);
    await expect(once(socket, 'connect')).rejects.toThrow(/ECONNREFUSED/);
  });
});
