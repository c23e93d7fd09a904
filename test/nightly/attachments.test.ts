import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import getPort from 'get-port';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checkArgv } from '../../src/dstack/argv/check-argv.ts';
import type { FlagValue } from '../../src/dstack/argv/command.ts';
import { createAttachments } from '../../src/attachments/attachments.ts';
import type { Attachments, AttachmentsOptions } from '../../src/attachments/attachments.ts';
import type { AttachOptions } from '../../src/attachments/start-attachment.ts';
import type { Attachment, Connection } from '../../src/attachments/attachment-view.ts';
import { isAlive, lookUpProcess } from '../../src/attachments/process-identity.ts';
import { recordedCatalog } from '../support/recorded-catalog.ts';
import { startTestSandbox } from '../support/start-test-sandbox.ts';
import type { TestSandbox } from '../support/start-test-sandbox.ts';

const catalog = recordedCatalog('0.22.5');
const isLinux = process.platform === 'linux';
let sandbox: TestSandbox;
let stateDir: string;
let opened: Attachments[];
let logged: string[];

beforeAll(async () => {
  sandbox = await startTestSandbox();
  await startTask('web', { ports: [8123] });
});
afterAll(async () => {
  await sandbox?.stop();
});
beforeEach(async () => {
  stateDir = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-attach-'));
  opened = [];
  logged = [];
});
afterEach(async () => {
  const attachments = open();
  for (const { id } of await attachments.list()) await attachments.stop(id);
  for (const each of opened) each.close();
  await rm(stateDir, { recursive: true, force: true });
});

/** Creates the attachments of one server in the test's state folder. */
function open(more: Partial<AttachmentsOptions> = {}): Attachments {
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) });
  const attachments = createAttachments({
    stateDir,
    executable: async () => sandbox.cli,
    env: sandbox.env,
    log,
    ...more,
  });
  opened.push(attachments);
  return attachments;
}

async function startTask(name: string, more: Record<string, unknown> = {}): Promise<void> {
  await sandbox.apply({ type: 'task', name, commands: ['echo up', 'sleep infinity'], ...more });
  await sandbox.waitFor(name, ({ status }) => status === 'running');
}

interface StartOptions extends Partial<AttachOptions> {
  readonly ports?: readonly string[];
}

async function start(attachments: Attachments, run: string, { ports = [], ...options }: StartOptions = {}) {
  const flags: Record<string, FlagValue> = { '--logs': true };
  if (ports.length > 0) flags['--port'] = ports;
  if (options.replica !== undefined) flags['--replica'] = options.replica;
  const argv = await checkArgv({ command: 'attach', flags, positionals: [run] }, catalog);
  return await attachments.start(argv, { run, deadlineMs: 60_000, ...options });
}

async function mappedPort(): Promise<{ readonly port: number; readonly mapping: string }> {
  const port = await getPort();
  return { port, mapping: `${port}:8123` };
}

function connectionOf({ state }: Attachment): Connection {
  if (state.kind !== 'attached') throw new Error(`not attached: ${JSON.stringify(state)}`);
  return state.connection;
}

async function leaderOf({ pid }: Attachment) {
  const facts = pid === undefined ? undefined : await lookUpProcess(pid);
  if (facts === undefined) throw new Error('dstack attach is not running');
  return facts;
}

async function fetchText(port: number): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text();
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(20);
}

describe('attaching', () => {
  test('returns the link of a dev environment', async () => {
    await sandbox.apply({ type: 'dev-environment', name: 'desk', ide: 'vscode' });
    await sandbox.waitFor('desk', ({ status }) => status === 'running');
    const { attachment } = await start(open(), 'desk', { expectIdeLink: true });
    expect(connectionOf(attachment).ideLink).toEqual({
      scheme: 'vscode',
      url: 'vscode://vscode-remote/ssh-remote+desk/workflow',
    });
    await sandbox.dstack('stop', 'desk', '-y', '--abort');
  });
  test('returns the alias of one replica', async () => {
    await sandbox.apply({ type: 'service', name: 'pair', port: 8000, replicas: 2, auth: false, commands: ['serve'] });
    await sandbox.waitFor('pair', ({ jobs }) => jobs.every((job) => job.job_submissions.at(-1)?.status === 'running'));
    const attachments = open();
    // Sequentially: in parallel, dstack itself assigns both the same local port.
    const started = [
      await start(attachments, 'pair', { replica: 0 }),
      await start(attachments, 'pair', { replica: 1 }),
    ];
    expect(started.map(({ attachment }) => attachment.id)).toEqual(['pair.0-0', 'pair.0-1']);
    expect(started.map(({ attachment }) => connectionOf(attachment).sshAlias)).toEqual(['pair', 'pair-0-1']);
    expect(await attachments.stop('pair')).toHaveLength(2);
    await sandbox.dstack('stop', 'pair', '-y', '--abort');
  });
  test('returns at its deadline while the run has no instance yet, and keeps waiting', async () => {
    sandbox.controls.scenarios.set('slow', { pullMs: 600_000 });
    await sandbox.apply({ type: 'task', name: 'slow', commands: ['sleep infinity'] });
    const attachments = open();
    const { attachment } = await start(attachments, 'slow', { deadlineMs: 3000 });
    expect(attachment.state).toEqual({ kind: 'waiting' });
    const leader = await leaderOf(attachment);
    expect((await start(attachments, 'slow', { deadlineMs: 1000 })).started).toBe(false);
    await attachments.stop('slow');
    expect(await isAlive(leader)).toBe(false);
    expect((await sandbox.run('slow')).status).toBe('provisioning');
    await sandbox.dstack('stop', 'slow', '-y', '--abort');
  });
  test('reports that the run has ended', async () => {
    await sandbox.apply({ type: 'task', name: 'broken', commands: ['exit 3'] });
    await sandbox.waitFor('broken', ({ status }) => status === 'failed');
    const { attachment } = await start(open(), 'broken');
    expect(attachment.state).toEqual({ kind: 'ended', how: 'run-finished', message: 'Run broken is failed' });
  });

  test('reports that the run ended while it was attached', async () => {
    sandbox.controls.scenarios.set('short', { script: [[1000, 'almost\n']], exitCode: 0, untilStopped: true });
    await startTask('short');
    const attachments = open();
    await start(attachments, 'short');
    await sandbox.dstack('stop', 'short', '-y');
    await until(async () => (await attachments.status('short'))[0]?.state.kind === 'ended');
    const [attachment] = await attachments.status('short');
    expect(attachment?.state).toMatchObject({ kind: 'ended', how: 'run-finished' });
    expect(attachment?.pid).toBeUndefined();
  });
});

describe('when attaching fails', () => {
  test('a working mapping is suggested for a busy port', async () => {
    const busy = createServer();
    busy.listen({ port: 0, host: '0.0.0.0' });
    await once(busy, 'listening');
    const address = busy.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const attachments = open();
    const knownPorts = [{ localPort: port, remotePort: 8123 }];
    const { attachment } = await start(attachments, 'web', { ports: [`${port}:8123`], knownPorts });
    const { state } = attachment;
    const failure = state.kind === 'failed' ? state.failure : undefined;
    expect(failure).toMatchObject({ reason: 'port-in-use', freeMapping: { remotePort: 8123 } });
    const mapping = `${failure?.freeMapping?.localPort}:8123`;
    expect(failure?.command).toBe(`dstack attach --logs web --port ${mapping}`);
    const again = await start(attachments, 'web', { ports: [mapping] });
    expect(again.started).toBe(true);
    expect(await fetchText(failure?.freeMapping?.localPort ?? 0)).toContain('web');
    busy.close();
  });
  test.runIf(isLinux)('an unwritable folder is reported, with the command that shows its owner', async () => {
    const { home, env } = await sandbox.createHome();
    await mkdir(path.join(home, '.dstack', 'ssh'), { recursive: true });
    // Not even root can write there.
    await symlink('/sys/fs/nobody-writes-here', path.join(home, '.dstack', 'ssh', 'config'));
    const { attachment } = await start(open({ env }), 'web');
    const file = path.join(home, '.dstack', 'ssh', 'config');
    expect(attachment.state).toMatchObject({
      kind: 'failed',
      failure: { reason: 'no-permission', command: `ls -ld ${file}` },
    });
  });

  test.runIf(isLinux)('an unwritable SSH configuration costs only the alias, not the attachment', async () => {
    const { home, env } = await sandbox.createHome();
    await symlink('/sys/fs', path.join(home, '.ssh'));
    const { mapping } = await mappedPort();
    const { attachment } = await start(open({ env }), 'web', { ports: [mapping] });
    const connection = connectionOf(attachment);
    expect(connection.sshConfigNotWritten).toBe(true);
    expect(connection.sshCommand).toBe(`ssh -F ${path.join(home, '.dstack', 'ssh', 'config')} web`);
  });
});

describe('after the server that attached has exited', () => {
  test('an unreadable record is moved aside and logged, and the others are kept', async () => {
    const { mapping } = await mappedPort();
    const attachments = open();
    await start(attachments, 'web', { ports: [mapping] });
    const folder = path.join(stateDir, 'attachments');
    await writeFile(path.join(folder, 'torn.json'), '{"version":1,"id":"to');
    expect(await attachments.list()).toMatchObject([{ id: 'web' }]);
    expect(logged.join('')).toContain('moved aside');
    const names = await readdir(folder);
    expect(names).not.toContain('torn.json');
    expect(names.filter((name) => name.startsWith('torn.json.broken-'))).toHaveLength(1);
  });

  test('the lock of a killed server does not block the next one', async () => {
    const folder = path.join(stateDir, 'attachments');
    await mkdir(folder, { mode: 0o700 });
    await writeFile(path.join(folder, 'nosuch.lock'), JSON.stringify({ pid: 2 ** 22, startedAt: 'another-boot/1' }));
    expect((await start(open(), 'nosuch')).attachment.state.kind).toBe('failed');
  });
});

describe('ending', () => {
  test('a new attachment does not inherit the tunnel of a killed one', async () => {
    const [old, fresh] = [await mappedPort(), await mappedPort()];
    const attachments = open();
    const { attachment } = await start(attachments, 'web', { ports: [old.mapping] });
    const leader = await leaderOf(attachment);
    process.kill(leader.pid, 'SIGKILL');
    await until(async () => !(await isAlive(leader)));
    const again = await start(attachments, 'web', { ports: [fresh.mapping] });
    expect(connectionOf(again.attachment)).toMatchObject({ reusedTunnel: false, ports: [{ localPort: fresh.port }] });
    await expect(fetchText(old.port)).rejects.toThrow('fetch failed');
  });
  test('an attachment that ignores SIGINT and SIGTERM is killed', async () => {
    const stubborn = path.join(stateDir, 'stubborn.mjs');
    await writeFile(
      stubborn,
      `#!${process.execPath}\nfor (const s of ['SIGINT','SIGTERM']) process.on(s, () => {});\nsetInterval(() => {}, 1000);\nconsole.log('ready');\n`,
      { mode: 0o755 },
    );
    const attachments = open({ executable: async () => stubborn });
    const starting = start(attachments, 'web', { deadlineMs: 2500 });
    const { attachment } = await starting;
    const leader = await leaderOf(attachment);
    const [stopped] = await attachments.stop('web');
    expect(stopped?.ended).toMatchObject({ how: 'killed', stillAlive: [] });
    expect(await isAlive(leader)).toBe(false);
  });
});

test('output that grows too long is rotated while dstack keeps writing, and its facts are kept', async () => {
  sandbox.controls.scenarios.set('chatty', {
    script: Array.from(
      { length: 2000 },
      (_, index) => [index === 0 ? 0 : 10, `${index} ${'x'.repeat(500)}\n`] as const,
    ),
    untilStopped: true,
  });
  await startTask('chatty');
  const attachments = open({ maxOutputBytes: 20_000, rotateEveryMs: 50 });
  const { attachment } = await start(attachments, 'chatty');
  await until(async () => (await readdir(path.dirname(attachment.outputFile))).includes('chatty.log.1'));
  await until(async () => (await stat(attachment.outputFile)).size > 0);
  const [seen] = await attachments.status('chatty');
  expect(seen).toMatchObject({
    pid: attachment.pid,
    state: { kind: 'attached', connection: { sshAlias: 'chatty' } },
    dstackOutput: '',
  });
  expect(seen?.outputBytes).toBeLessThan(2_000_000);
  expect(seen?.jobOutput).toMatch(/^\d+ x+\n/);
  await sandbox.dstack('stop', 'chatty', '-y', '--abort');
});
