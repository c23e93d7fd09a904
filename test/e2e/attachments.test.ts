import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import getPort from 'get-port';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findTunnels } from '../../sandbox/end-tunnels.ts';
import { checkArgv } from '../../src/dstack/argv/check-argv.ts';
import type { FlagValue } from '../../src/dstack/argv/command.ts';
import { createAttachments } from '../../src/attachments/attachments.ts';
import type { AttachOptions, Attachments, AttachmentsOptions } from '../../src/attachments/attachments.ts';
import type { Attachment, Connection } from '../../src/attachments/attachment-view.ts';
import { isAlive, lookUpProcess } from '../../src/attachments/process-identity.ts';
import { recordedCatalog, recordedPages } from '../support/recorded-catalog.ts';
import { startTestSandbox } from '../support/start-test-sandbox.ts';
import type { TestSandbox } from '../support/start-test-sandbox.ts';
import { fixture } from '../support/paths.ts';

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

/** Attachments over the test's state folder, as one server has them. */
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

/** Nothing of the sandbox's home is attached any more. */
async function expectNothingLeft(port: number): Promise<void> {
  expect(await findTunnels(sandbox.home)).toEqual([]);
  await expect(fetchText(port)).rejects.toThrow('fetch failed');
}

async function readRecord(id: string): Promise<Record<string, unknown>> {
  const record: Record<string, unknown> = JSON.parse(
    await readFile(path.join(stateDir, 'attachments', `${id}.json`), 'utf8'),
  );
  return record;
}

async function writeRecord(id: string, record: Record<string, unknown>): Promise<void> {
  await writeFile(path.join(stateDir, 'attachments', `${id}.json`), JSON.stringify(record));
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(20);
}

describe('attaching', () => {
  test('forwards a port, lets ssh in, goes on in the background, and ends without ending the run', async () => {
    const { port, mapping } = await mappedPort();
    const attachments = open();
    const { attachment, started } = await start(attachments, 'web', { ports: [mapping] });
    const connection = connectionOf(attachment);
    expect(started).toBe(true);
    expect(connection).toMatchObject({
      replica: 0,
      job: 0,
      sshAlias: 'web',
      ports: [{ host: 'localhost', localPort: port, remotePort: 8123 }],
      reusedTunnel: false,
    });
    expect(await fetchText(port)).toContain('web');
    const [ssh = '', ...words] = (connection.sshCommand ?? '').split(' ');
    const { stdout } = await execa(ssh, [...words, 'echo from the job'], {
      env: sandbox.env,
      extendEnv: false,
      stdin: 'ignore',
    });
    expect(stdout).toBe('from the job');

    const leader = await leaderOf(attachment);
    expect(leader.groupId).toBe(leader.pid);
    expect(await attachments.list()).toMatchObject([
      { id: 'web', run: 'web', pid: leader.pid, state: { kind: 'attached' } },
    ]);
    const [stopped] = await attachments.stop('web');
    expect(stopped?.ended).toMatchObject({ how: 'detached', stillAlive: [] });
    expect(await isAlive(leader)).toBe(false);
    await expectNothingLeft(port);
    expect(await attachments.list()).toEqual([]);
    expect((await sandbox.run('web')).status).toBe('running');
    expect(await readFile(path.join(sandbox.home, '.dstack', 'ssh', 'config'), 'utf8')).not.toContain('Host web');
  });

  test('gives the link of a dev environment', async () => {
    await sandbox.apply({ type: 'dev-environment', name: 'desk', ide: 'vscode' });
    await sandbox.waitFor('desk', ({ status }) => status === 'running');
    const { attachment } = await start(open(), 'desk', { expectIdeLink: true });
    expect(connectionOf(attachment).ideLink).toEqual({
      scheme: 'vscode',
      url: 'vscode://vscode-remote/ssh-remote+desk/workflow',
    });
    await sandbox.dstack('stop', 'desk', '-y', '--abort');
  });

  test('keeps its files from other users', async () => {
    const { mapping } = await mappedPort();
    const { attachment } = await start(open(), 'web', { ports: [mapping] });
    const folder = path.join(stateDir, 'attachments');
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(folder)) expect((await stat(path.join(folder, name))).mode & 0o777).toBe(0o600);
    expect(attachment.outputFile).toBe(path.join(folder, 'web.log'));
  });

  test('names the alias of one replica', async () => {
    await sandbox.apply({ type: 'service', name: 'pair', port: 8000, replicas: 2, auth: false, commands: ['serve'] });
    await sandbox.waitFor('pair', ({ jobs }) => jobs.every((job) => job.job_submissions.at(-1)?.status === 'running'));
    const attachments = open();
    // In turn: at once, dstack itself gives both the same local port.
    const started = [
      await start(attachments, 'pair', { replica: 0 }),
      await start(attachments, 'pair', { replica: 1 }),
    ];
    expect(started.map(({ attachment }) => attachment.id)).toEqual(['pair.0-0', 'pair.0-1']);
    expect(started.map(({ attachment }) => connectionOf(attachment).sshAlias)).toEqual(['pair', 'pair-0-1']);
    expect(await attachments.stop('pair')).toHaveLength(2);
    await sandbox.dstack('stop', 'pair', '-y', '--abort');
  });

  test('twice at once, from two servers, is one attachment', async () => {
    const { mapping } = await mappedPort();
    const servers = [open(), open()];
    const results = await Promise.all([...servers, ...servers].map((each) => start(each, 'web', { ports: [mapping] })));
    expect(results.filter(({ started }) => started)).toHaveLength(1);
    expect(new Set(results.map(({ attachment }) => attachment.pid)).size).toBe(1);
    for (const { attachment } of results) expect(attachment.state.kind).toBe('attached');
  });

  test('answers at its deadline while the run has no machine yet, and goes on waiting', async () => {
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

  test('that is cancelled leaves nothing running', async () => {
    sandbox.controls.scenarios.set('slow-too', { pullMs: 600_000 });
    await sandbox.apply({ type: 'task', name: 'slow-too', commands: ['sleep infinity'] });
    const attachments = open();
    const controller = new AbortController();
    const starting = start(attachments, 'slow-too', { signal: controller.signal });
    await until(async () => (await attachments.list())[0]?.pid !== undefined);
    const [attachment] = await attachments.list();
    controller.abort();
    await expect(starting).rejects.toMatchObject({ code: 'cancelled' });
    expect(attachment?.pid === undefined ? undefined : await lookUpProcess(attachment.pid)).toBeUndefined();
    expect(await attachments.list()).toEqual([]);
    await sandbox.dstack('stop', 'slow-too', '-y', '--abort');
  });

  test('says that the run has ended', async () => {
    await sandbox.apply({ type: 'task', name: 'broken', commands: ['exit 3'] });
    await sandbox.waitFor('broken', ({ status }) => status === 'failed');
    const { attachment } = await start(open(), 'broken');
    expect(attachment.state).toEqual({ kind: 'ended', how: 'run-finished', words: 'Run broken is failed' });
  });

  test('says that the run ended while it was attached', async () => {
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
  test('a busy port is answered with a mapping that works', async () => {
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

  test('a missing ssh or git is named', async () => {
    const env = { ...sandbox.env, PATH: stateDir };
    const withoutGit = await start(open({ env }), 'web');
    expect(withoutGit.attachment.state).toMatchObject({ kind: 'failed', failure: { reason: 'git-missing' } });
    const { stdout: git } = await execa('which', ['git']);
    await symlink(git, path.join(stateDir, 'git'));
    const { attachment } = await start(open({ env }), 'web');
    expect(attachment.state).toMatchObject({ kind: 'failed', failure: { reason: 'ssh-missing', command: 'ssh -V' } });
  });

  test.runIf(isLinux)(
    'a folder that dstack may not write to is named, with the command that shows its owner',
    async () => {
      const { home, env } = await sandbox.createHome();
      await mkdir(path.join(home, '.dstack', 'ssh'), { recursive: true });
      // Not even root may write there.
      await symlink('/sys/fs/nobody-writes-here', path.join(home, '.dstack', 'ssh', 'config'));
      const { attachment } = await start(open({ env }), 'web');
      const file = path.join(home, '.dstack', 'ssh', 'config');
      expect(attachment.state).toMatchObject({
        kind: 'failed',
        failure: { reason: 'no-permission', command: `ls -ld ${file}` },
      });
    },
  );

  test.runIf(isLinux)(
    'an SSH configuration that dstack may not write to costs the alias, not the attachment',
    async () => {
      const { home, env } = await sandbox.createHome();
      await symlink('/sys/fs', path.join(home, '.ssh'));
      const { mapping } = await mappedPort();
      const { attachment } = await start(open({ env }), 'web', { ports: [mapping] });
      const connection = connectionOf(attachment);
      expect(connection.sshConfigNotWritten).toBe(true);
      expect(connection.sshCommand).toBe(`ssh -F ${path.join(home, '.dstack', 'ssh', 'config')} web`);
    },
  );

  test('an unknown run is named', async () => {
    const { attachment } = await start(open(), 'nosuch');
    expect(attachment.state).toMatchObject({
      kind: 'failed',
      failure: { reason: 'run-not-found', words: 'Run nosuch not found', command: 'dstack ps -a' },
    });
  });

  test('an executable that is not there is an error that names it', async () => {
    const attachments = open({ executable: async () => '/nowhere/dstack' });
    await expect(start(attachments, 'web')).rejects.toMatchObject({ code: 'cli-not-found' });
    expect(await attachments.list()).toEqual([]);
  });
});

describe('after the end of the server that attached', () => {
  /** A server of its own process, which is attached when this resolves. */
  async function attachElsewhere(mapping: string): Promise<ChildProcess> {
    const program = fixture('attach', 'attach-and-say.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', program], { stdio: ['pipe', 'pipe', 'inherit'] });
    const helpPage = recordedPages('0.22.5')['attach'];
    const { cli, env } = sandbox;
    child.stdin.end(JSON.stringify({ stateDir, cli, env, run: 'web', ports: [mapping], helpPage }));
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the other server ended')));
    await Promise.race([once(child.stdout, 'data'), ended]);
    ended.catch(() => undefined);
    return child;
  }

  test('by SIGKILL, the next server sees the attachment and ends it', async () => {
    const { port, mapping } = await mappedPort();
    const server = await attachElsewhere(mapping);
    const exited = once(server, 'exit');
    server.kill('SIGKILL');
    await exited;
    expect(await fetchText(port)).toContain('web');

    const next = open();
    const [attachment] = await next.list();
    if (attachment === undefined) throw new Error('the attachment was not found');
    expect(connectionOf(attachment).ports).toMatchObject([{ localPort: port }]);
    const leader = await leaderOf(attachment);
    const again = await start(next, 'web', { ports: [mapping] });
    expect(again).toMatchObject({ started: false, attachment: { pid: leader.pid } });
    const [stopped] = await next.stop('web');
    expect(stopped?.ended.stillAlive).toEqual([]);
    expect(await isAlive(leader)).toBe(false);
    await expectNothingLeft(port);
  });

  test.runIf(isLinux)('right after the start, before the process was recorded, it is found all the same', async () => {
    const { port, mapping } = await mappedPort();
    const first = await start(open(), 'web', { ports: [mapping] });
    const { leader: _leader, facts: _facts, tunnel: _tunnel, ...rest } = await readRecord('web');
    await writeRecord('web', rest);
    const next = open();
    expect(await next.list()).toMatchObject([{ pid: first.attachment.pid, state: { kind: 'attached' } }]);
    await next.stop('web');
    await expectNothingLeft(port);
  });

  test('a process that has taken over its number is left alone', async () => {
    const { port, mapping } = await mappedPort();
    const attachments = open();
    await start(attachments, 'web', { ports: [mapping] });
    await attachments.stop('web');
    const foreign = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    await once(foreign, 'spawn');
    const foreignPid = foreign.pid ?? 0;
    await writeRecord('web', {
      version: 1,
      id: 'web',
      run: 'web',
      argv: ['attach', '--logs', 'web'],
      marker: 'of-long-ago',
      createdAt: '2026-01-01T00:00:00.000Z',
      leader: { pid: foreignPid, startedAt: 'another-boot/123' },
    });
    expect(await attachments.list()).toMatchObject([{ id: 'web', state: { kind: 'ended', how: 'gone' } }]);
    const [stopped] = await attachments.stop('web');
    expect(stopped?.ended.how).toBe('was-gone');
    expect(await lookUpProcess(foreignPid)).toBeDefined();
    const exited = once(foreign, 'exit');
    foreign.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
    await expectNothingLeft(port);
  });

  test('a process of the right number and start but with other words is left alone', async () => {
    const foreign = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    await once(foreign, 'spawn');
    const facts = await lookUpProcess(foreign.pid ?? 0);
    const { mapping } = await mappedPort();
    const attachments = open();
    await start(attachments, 'web', { ports: [mapping] });
    const record = await readRecord('web');
    await attachments.stop('web');
    await writeRecord('web', {
      ...record,
      marker: 'another',
      leader: { pid: facts?.pid, startedAt: facts?.startedAt },
    });
    await attachments.stop('web');
    expect(await lookUpProcess(foreign.pid ?? 0)).toBeDefined();
    foreign.kill('SIGKILL');
  });

  test('a record that cannot be read is set aside and told, and the others stand', async () => {
    const { mapping } = await mappedPort();
    const attachments = open();
    await start(attachments, 'web', { ports: [mapping] });
    const folder = path.join(stateDir, 'attachments');
    await writeFile(path.join(folder, 'torn.json'), '{"version":1,"id":"to');
    expect(await attachments.list()).toMatchObject([{ id: 'web' }]);
    expect(logged.join('')).toContain('set aside');
    const names = await readdir(folder);
    expect(names).not.toContain('torn.json');
    expect(names.filter((name) => name.startsWith('torn.json.broken-'))).toHaveLength(1);
  });

  test('the lock of a server that was killed does not hold up the next', async () => {
    const folder = path.join(stateDir, 'attachments');
    await mkdir(folder, { mode: 0o700 });
    await writeFile(path.join(folder, 'nosuch.lock'), JSON.stringify({ pid: 2 ** 22, startedAt: 'another-boot/1' }));
    expect((await start(open(), 'nosuch')).attachment.state.kind).toBe('failed');
  });

  test('a lock that is held is waited for, and answered as busy at the deadline', async () => {
    const folder = path.join(stateDir, 'attachments');
    await mkdir(folder, { mode: 0o700 });
    const self = await lookUpProcess(process.pid);
    await writeFile(path.join(folder, 'web.lock'), JSON.stringify({ pid: process.pid, startedAt: self?.startedAt }));
    await expect(start(open(), 'web', { deadlineMs: 1000 })).rejects.toMatchObject({ code: 'busy' });
    await rm(path.join(folder, 'web.lock'));
  });
});

describe('ending', () => {
  test.runIf(isLinux)(
    'ends what a killed dstack attach left behind: the ssh in the background, its proxy, the port',
    async () => {
      const { port, mapping } = await mappedPort();
      const attachments = open();
      const { attachment } = await start(attachments, 'web', { ports: [mapping] });
      const leader = await leaderOf(attachment);
      process.kill(leader.pid, 'SIGKILL');
      await until(async () => !(await isAlive(leader)));
      expect(await fetchText(port)).toContain('web');
      expect(await findTunnels(sandbox.home)).not.toEqual([]);
      expect(await attachments.list()).toMatchObject([{ id: 'web', state: { kind: 'ended', how: 'gone' } }]);
      const [stopped] = await attachments.stop('web');
      expect(stopped?.ended).toMatchObject({ how: 'was-gone', stillAlive: [] });
      await expectNothingLeft(port);
      expect(await readdir(path.join(sandbox.home, '.dstack', 'ssh'))).not.toContain('web.control.sock');
    },
  );

  test('a new attachment does not inherit the tunnel that a killed one left behind', async () => {
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

  test("leaves a person's own dstack attach to the same run alone, and says that its tunnel is used", async () => {
    const { port, mapping } = await mappedPort();
    const person = sandbox.spawnDstack('attach', 'web', '-p', mapping);
    let said = '';
    person.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(async () => said.includes('Press Ctrl+C'));
    const attachments = open();
    const { attachment } = await start(attachments, 'web');
    expect(connectionOf(attachment)).toMatchObject({ reusedTunnel: true, ports: [{ localPort: port }] });
    const [stopped] = await attachments.stop('web');
    expect(stopped?.ended.stillAlive).toEqual([]);
    expect(await fetchText(port)).toContain('web');
    const exited = once(person, 'exit');
    person.kill('SIGINT');
    await exited;
    await expectNothingLeft(port);
  });

  test('an attachment that does not heed SIGINT and SIGTERM is killed', async () => {
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

  test('of something that is not attached does nothing', async () => {
    expect(await open().stop('nosuch')).toEqual([]);
  });
});

test('the output is cut when it grows too long, while dstack goes on writing, and what was learned stays known', async () => {
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
    dstackSaid: '',
  });
  expect(seen?.outputBytes).toBeLessThan(2_000_000);
  expect(seen?.jobSaid).toMatch(/^\d+ x+\n/);
  await sandbox.dstack('stop', 'chatty', '-y', '--abort');
});
