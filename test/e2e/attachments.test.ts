import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { findTunnels } from '../../sandbox/end-tunnels.ts';
import { isAlive, lookUpProcess } from '../../src/dstack/run/processes.ts';
import { openSharedSandbox } from '../support/start-test-sandbox.ts';
import {
  AttachmentsSetup,
  connectionOf,
  fetchText,
  leaderOf,
  mappedPort,
  start,
  untilTrue,
} from '../support/set-up-attachments.ts';

const setup = new AttachmentsSetup(openSharedSandbox);
const isLinux = process.platform === 'linux';

/** Expects that nothing is attached anymore. */
async function expectNothingLeft(port: number): Promise<void> {
  expect(await findTunnels(setup.sandbox.home)).toEqual([]);
  await expect(fetchText(port)).rejects.toThrow('fetch failed');
}

async function readRecord(id: string): Promise<Record<string, unknown>> {
  const record: Record<string, unknown> = JSON.parse(
    await readFile(path.join(setup.stateDir, 'attachments', `${id}.json`), 'utf8'),
  );
  return record;
}

async function writeRecord(id: string, record: Record<string, unknown>): Promise<void> {
  await writeFile(path.join(setup.stateDir, 'attachments', `${id}.json`), JSON.stringify(record), {
    mode: 0o600,
  });
}

describe('attaching', () => {
  test('from two servers at once forwards a port, enables ssh, runs in the background, protects its files, and stops without stopping the run', async () => {
    const { port, mapping } = await mappedPort();
    const attachments = setup.open();
    const other = setup.open();
    const attach = (from: typeof other) => start(from, 'web', { ports: [mapping] });
    const starts = [attach(attachments), attach(other), attach(attachments), attach(other)] as const;
    const results = await Promise.all(starts);
    expect(results.filter(({ started }) => started)).toHaveLength(1);
    const [{ attachment }, ...joined] = results;
    for (const each of joined)
      expect(each.attachment).toMatchObject({ pid: attachment.pid, state: { kind: 'attached' } });
    const connection = connectionOf(attachment);
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
      env: setup.sandbox.env,
      extendEnv: false,
      stdin: 'ignore',
    });
    expect(stdout).toBe('from the job');

    const folder = path.join(setup.stateDir, 'attachments');
    expect(attachment.outputFile).toBe(path.join(folder, 'web.log'));
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(folder)) expect((await stat(path.join(folder, name))).mode & 0o777).toBe(0o600);

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
    expect((await setup.sandbox.run('web')).status).toBe('running');
    expect(await readFile(path.join(setup.sandbox.home, '.dstack', 'ssh', 'config'), 'utf8')).not.toContain('Host web');
  });
});

/** Kills the ssh processes of the attachments, as a crash or a person would. */
async function killTunnel(): Promise<void> {
  const tunnels = await findTunnels(setup.sandbox.home);
  expect(tunnels).not.toEqual([]);
  for (const pid of tunnels) process.kill(pid, 'SIGKILL');
  await untilTrue(async () => (await findTunnels(setup.sandbox.home)).length === 0);
}

test('an attachment whose ssh is killed is not called attached, is replaced by a new attach, and is noticed although nobody asks', async () => {
  const [first, second] = [await mappedPort(), await mappedPort()];
  const attachments = setup.open();
  const { attachment } = await start(attachments, 'web', { ports: [first.mapping] });
  await killTunnel();
  const [broken] = await attachments.status('web');
  expect(broken?.state).toMatchObject({
    kind: 'failed',
    failure: {
      message: expect.stringContaining('SSH connection has ended'),
      hint: expect.stringContaining('attach again'),
    },
  });
  const again = await start(attachments, 'web', { ports: [second.mapping] });
  expect(again.started).toBe(true);
  expect(connectionOf(again.attachment).ports).toMatchObject([{ localPort: second.port }]);
  expect(await fetchText(second.port)).toContain('web');
  expect(attachment.pid === undefined ? undefined : await lookUpProcess(attachment.pid)).toBeUndefined();

  setup.open({ rotateEveryMs: 50 });
  expect(setup.logged).toEqual([]);
  await killTunnel();
  await untilTrue(async () => setup.logged.some((line) => line.includes('SSH connection of an attachment has ended')));
  const [stopped] = await attachments.stop('web');
  expect(stopped?.ended.stillAlive).toEqual([]);
  await expectNothingLeft(second.port);
});

test.runIf(isLinux)(
  'an attachment whose state folder is deleted is found by its mark, replaced, and stopped; other state folders have nothing to do with it',
  async () => {
    const [first, second] = [await mappedPort(), await mappedPort()];
    const deleted = [
      {
        id: 'web',
        run: 'web',
        state: { kind: 'failed', failure: { message: expect.stringContaining('were deleted') } },
      },
    ];
    const { attachment } = await start(setup.open(), 'web', { ports: [first.mapping] });
    const leader = await leaderOf(attachment);
    await rm(setup.stateDir, { recursive: true });
    const elsewhere = setup.open({ stateDir: `${setup.stateDir}-other` });
    expect(await elsewhere.list()).toEqual([]);
    expect(await elsewhere.stop('web')).toEqual([]);
    expect(await isAlive(leader)).toBe(true);
    const attachments = setup.open();
    expect(await attachments.list()).toMatchObject(deleted);
    const again = await start(attachments, 'web', { ports: [second.mapping] });
    expect(again.started).toBe(true);
    expect(await fetchText(second.port)).toContain('web');
    expect(await isAlive(leader)).toBe(false);

    const replacement = await leaderOf(again.attachment);
    await rm(setup.stateDir, { recursive: true });
    const next = setup.open();
    expect(await next.list()).toMatchObject(deleted.map((each) => ({ ...each, pid: replacement.pid })));
    const [stopped] = await next.stop('web');
    expect(stopped?.ended.stillAlive).toEqual([]);
    expect(await isAlive(replacement)).toBe(false);
    await expectNothingLeft(second.port);
    expect(await next.list()).toEqual([]);
  },
);

describe('when attaching fails', () => {
  test('a missing ssh or git is reported', async () => {
    const env = { ...setup.sandbox.env, PATH: setup.stateDir };
    const withoutGit = await start(setup.open({ env }), 'web');
    expect(withoutGit.attachment.state).toMatchObject({ kind: 'failed', failure: { command: 'git --version' } });
    const { stdout: git } = await execa('which', ['git']);
    await symlink(git, path.join(setup.stateDir, 'git'));
    const { attachment } = await start(setup.open({ env }), 'web');
    expect(attachment.state).toMatchObject({ kind: 'failed', failure: { command: 'ssh -V' } });
  });
  test('an unknown run is reported', async () => {
    const { attachment } = await start(setup.open(), 'nosuch');
    expect(attachment.state).toMatchObject({
      kind: 'failed',
      failure: { message: 'Run nosuch not found', command: 'dstack ps -a' },
    });
  });

  test('a missing executable is reported', async () => {
    const attachments = setup.open({ executable: async () => '/nowhere/dstack' });
    await expect(start(attachments, 'web')).rejects.toMatchObject({ code: 'cli-not-found' });
    expect(await attachments.list()).toEqual([]);
  });
});

describe('after the server that attached has exited', () => {
  test.runIf(isLinux)(
    'right after the start, before the process was recorded, the next server still finds it',
    async () => {
      const { port, mapping } = await mappedPort();
      const first = await start(setup.open(), 'web', { ports: [mapping] });
      const { leader: _leader, facts: _facts, tunnel: _tunnel, ...rest } = await readRecord('web');
      await writeRecord('web', rest);
      const next = setup.open();
      expect(await next.list()).toMatchObject([{ pid: first.attachment.pid, state: { kind: 'attached' } }]);
      await next.stop('web');
      await expectNothingLeft(port);
    },
  );

  test.each([
    ['another process with its pid', 'another-boot/123'],
    ['a process with its pid and start time but other arguments', undefined],
  ])('%s is not signalled', async (_what, startedAt) => {
    const foreign = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    await once(foreign, 'spawn');
    const pid = foreign.pid ?? 0;
    await mkdir(path.join(setup.stateDir, 'attachments'), { mode: 0o700 });
    await writeRecord('web', {
      version: 1,
      id: 'web',
      run: 'web',
      argv: ['attach', '--logs', 'web'],
      marker: 'of-long-ago',
      createdAt: '2026-01-01T00:00:00.000Z',
      leader: { pid, startedAt: startedAt ?? (await lookUpProcess(pid))?.startedAt },
    });
    const attachments = setup.open();
    expect(await attachments.list()).toMatchObject([{ id: 'web', state: { kind: 'ended', how: 'gone' } }]);
    const [stopped] = await attachments.stop('web');
    expect(stopped?.ended.how).toBe('was-gone');
    expect(await lookUpProcess(pid)).toBeDefined();
    const exited = once(foreign, 'exit');
    foreign.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
  });
  test('a held lock is waited for, and reported as busy at the deadline', async () => {
    const folder = path.join(setup.stateDir, 'attachments');
    await mkdir(folder, { mode: 0o700 });
    const self = await lookUpProcess(process.pid);
    await writeFile(path.join(folder, 'web.lock'), JSON.stringify({ pid: process.pid, startedAt: self?.startedAt }));
    await expect(start(setup.open(), 'web', { deadlineMs: 1000 })).rejects.toMatchObject({ code: 'busy' });
    await rm(path.join(folder, 'web.lock'));
  });
});

describe('stopping', () => {
  test.runIf(isLinux)(
    'ends what a killed dstack attach left running: the background ssh, its proxy, the port',
    async () => {
      const { port, mapping } = await mappedPort();
      const attachments = setup.open();
      const { attachment } = await start(attachments, 'web', { ports: [mapping] });
      const leader = await leaderOf(attachment);
      process.kill(leader.pid, 'SIGKILL');
      await untilTrue(async () => !(await isAlive(leader)));
      expect(await fetchText(port)).toContain('web');
      expect(await findTunnels(setup.sandbox.home)).not.toEqual([]);
      expect(await attachments.list()).toMatchObject([{ id: 'web', state: { kind: 'ended', how: 'gone' } }]);
      const [stopped] = await attachments.stop('web');
      expect(stopped?.ended).toMatchObject({ how: 'was-gone', stillAlive: [] });
      await expectNothingLeft(port);
      expect(await readdir(path.join(setup.sandbox.home, '.dstack', 'ssh'))).not.toContain('web.control.sock');
    },
  );
  test("doesn't affect the user's own dstack attach to the same run, and reports that it uses that tunnel", async () => {
    const { port, mapping } = await mappedPort();
    const person = setup.sandbox.spawnDstack('attach', 'web', '-p', mapping);
    let said = '';
    person.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await untilTrue(async () => said.includes('Press Ctrl+C'));
    const attachments = setup.open();
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
  test('a run that is not attached does nothing', async () => {
    expect(await setup.open().stop('nosuch')).toEqual([]);
  });
});
