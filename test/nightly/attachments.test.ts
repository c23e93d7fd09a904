import { once } from 'node:events';
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { isAlive, lookUpProcess } from '../../src/dstack/run/processes.ts';
import { startTestSandbox } from '../support/start-test-sandbox.ts';
import {
  AttachmentsSetup,
  connectionOf,
  fetchText,
  leaderOf,
  mappedPort,
  start,
  untilTrue,
} from '../support/set-up-attachments.ts';

const setup = new AttachmentsSetup(startTestSandbox);
const isLinux = process.platform === 'linux';

describe('attaching', () => {
  test('returns the link of a dev environment', async () => {
    await setup.sandbox.apply({ type: 'dev-environment', name: 'desk', ide: 'vscode' });
    await setup.sandbox.waitFor('desk', ({ status }) => status === 'running');
    const { attachment } = await start(setup.open(), 'desk', { expectIdeLink: true });
    expect(connectionOf(attachment).ideLink).toEqual({
      scheme: 'vscode',
      url: 'vscode://vscode-remote/ssh-remote+desk/workflow',
    });
    await setup.sandbox.dstack('stop', 'desk', '-y', '--abort');
  });
  test('returns the alias of one replica', async () => {
    await setup.sandbox.apply({
      type: 'service',
      name: 'pair',
      port: 8000,
      replicas: 2,
      auth: false,
      commands: ['serve'],
    });
    await setup.sandbox.waitFor('pair', ({ jobs }) =>
      jobs.every((job) => job.job_submissions.at(-1)?.status === 'running'),
    );
    const attachments = setup.open();
    // Sequentially: in parallel, dstack itself assigns both the same local port.
    const started = [
      await start(attachments, 'pair', { replica: 0 }),
      await start(attachments, 'pair', { replica: 1 }),
    ];
    expect(started.map(({ attachment }) => attachment.id)).toEqual(['pair.0-0', 'pair.0-1']);
    expect(started.map(({ attachment }) => connectionOf(attachment).sshAlias)).toEqual(['pair', 'pair-0-1']);
    expect(await attachments.stop('pair')).toHaveLength(2);
    await setup.sandbox.dstack('stop', 'pair', '-y', '--abort');
  });
  test('returns at its deadline while the run has no instance yet, and keeps waiting', async () => {
    setup.sandbox.controls.scenarios.set('slow', { pullMs: 600_000 });
    await setup.sandbox.apply({ type: 'task', name: 'slow', commands: ['sleep infinity'] });
    const attachments = setup.open();
    const { attachment } = await start(attachments, 'slow', { deadlineMs: 3000 });
    expect(attachment.state).toEqual({ kind: 'waiting' });
    const leader = await leaderOf(attachment);
    expect((await start(attachments, 'slow', { deadlineMs: 1000 })).started).toBe(false);
    await attachments.stop('slow');
    expect(await isAlive(leader)).toBe(false);
    expect((await setup.sandbox.run('slow')).status).toBe('provisioning');
    await setup.sandbox.dstack('stop', 'slow', '-y', '--abort');
  });
  test('leaves nothing running if it is cancelled', async () => {
    setup.sandbox.controls.scenarios.set('slow-too', { pullMs: 600_000 });
    await setup.sandbox.apply({ type: 'task', name: 'slow-too', commands: ['sleep infinity'] });
    const attachments = setup.open();
    const controller = new AbortController();
    const starting = start(attachments, 'slow-too', { signal: controller.signal });
    await untilTrue(async () => (await attachments.list())[0]?.pid !== undefined);
    const [attachment] = await attachments.list();
    controller.abort();
    await expect(starting).rejects.toMatchObject({ code: 'cancelled' });
    expect(attachment?.pid === undefined ? undefined : await lookUpProcess(attachment.pid)).toBeUndefined();
    expect(await attachments.list()).toEqual([]);
    await setup.sandbox.dstack('stop', 'slow-too', '-y', '--abort');
  });
  test('reports that the run has ended', async () => {
    await setup.sandbox.apply({ type: 'task', name: 'broken', commands: ['exit 3'] });
    await setup.sandbox.waitFor('broken', ({ status }) => status === 'failed');
    const { attachment } = await start(setup.open(), 'broken');
    expect(attachment.state).toEqual({ kind: 'ended', how: 'run-finished', message: 'Run broken is failed' });
  });

  test('reports that the run ended while it was attached', async () => {
    setup.sandbox.controls.scenarios.set('short', { script: [[1000, 'almost\n']], exitCode: 0, untilStopped: true });
    await setup.startTask('short');
    const attachments = setup.open();
    await start(attachments, 'short');
    await setup.sandbox.dstack('stop', 'short', '-y');
    await untilTrue(async () => (await attachments.status('short'))[0]?.state.kind === 'ended');
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
    const attachments = setup.open();
    const knownPorts = [{ localPort: port, remotePort: 8123 }];
    const { attachment } = await start(attachments, 'web', { ports: [`${port}:8123`], knownPorts });
    const { state } = attachment;
    const failure = state.kind === 'failed' ? state.failure : undefined;
    expect(failure).toMatchObject({ freeMapping: { remotePort: 8123 } });
    const mapping = `${failure?.freeMapping?.localPort}:8123`;
    expect(failure?.command).toBe(`dstack attach --logs web --port ${mapping}`);
    const again = await start(attachments, 'web', { ports: [mapping] });
    expect(again.started).toBe(true);
    expect(await fetchText(failure?.freeMapping?.localPort ?? 0)).toContain('web');
    busy.close();
  });
  test.runIf(isLinux)('an unwritable folder is reported, with the command that shows its owner', async () => {
    const { home, env } = await setup.sandbox.createHome();
    await mkdir(path.join(home, '.dstack', 'ssh'), { recursive: true });
    // Not even root can write there.
    await symlink('/sys/fs/nobody-writes-here', path.join(home, '.dstack', 'ssh', 'config'));
    const { attachment } = await start(setup.open({ env }), 'web');
    const file = path.join(home, '.dstack', 'ssh', 'config');
    expect(attachment.state).toMatchObject({
      kind: 'failed',
      failure: { command: `ls -ld ${file}` },
    });
  });

  test.runIf(isLinux)('an unwritable SSH configuration costs only the alias, not the attachment', async () => {
    const { home, env } = await setup.sandbox.createHome();
    await symlink('/sys/fs', path.join(home, '.ssh'));
    const { mapping } = await mappedPort();
    const { attachment } = await start(setup.open({ env }), 'web', { ports: [mapping] });
    const connection = connectionOf(attachment);
    expect(connection.sshCommand).toBe(`ssh -F ${path.join(home, '.dstack', 'ssh', 'config')} web`);
  });
});

describe('after the server that attached has exited', () => {
  test('an unreadable record is moved aside and logged, and the others are kept', async () => {
    const { mapping } = await mappedPort();
    const attachments = setup.open();
    await start(attachments, 'web', { ports: [mapping] });
    const folder = path.join(setup.stateDir, 'attachments');
    await writeFile(path.join(folder, 'torn.json'), '{"version":1,"id":"to');
    expect(await attachments.list()).toMatchObject([{ id: 'web' }]);
    expect(setup.logged.join('')).toContain('moved aside');
    const names = await readdir(folder);
    expect(names).not.toContain('torn.json');
    expect(names.filter((name) => name.startsWith('torn.json.broken-'))).toHaveLength(1);
  });

  test('the lock of a killed server does not block the next one', async () => {
    const folder = path.join(setup.stateDir, 'attachments');
    await mkdir(folder, { mode: 0o700 });
    await writeFile(path.join(folder, 'nosuch.lock'), JSON.stringify({ pid: 2 ** 22, startedAt: 'another-boot/1' }));
    expect((await start(setup.open(), 'nosuch')).attachment.state.kind).toBe('failed');
  });
});

describe('ending', () => {
  test('a new attachment does not inherit the tunnel of a killed one', async () => {
    const [old, fresh] = [await mappedPort(), await mappedPort()];
    const attachments = setup.open();
    const { attachment } = await start(attachments, 'web', { ports: [old.mapping] });
    const leader = await leaderOf(attachment);
    process.kill(leader.pid, 'SIGKILL');
    await untilTrue(async () => !(await isAlive(leader)));
    const again = await start(attachments, 'web', { ports: [fresh.mapping] });
    expect(connectionOf(again.attachment)).toMatchObject({ reusedTunnel: false, ports: [{ localPort: fresh.port }] });
    await expect(fetchText(old.port)).rejects.toThrow('fetch failed');
  });
  test('an attachment that ignores SIGINT and SIGTERM is killed', async () => {
    const stubborn = path.join(setup.stateDir, 'stubborn.mjs');
    await writeFile(
      stubborn,
      `#!${process.execPath}\nfor (const s of ['SIGINT','SIGTERM']) process.on(s, () => {});\nsetInterval(() => {}, 1000);\nconsole.log('ready');\n`,
      { mode: 0o755 },
    );
    const attachments = setup.open({ executable: async () => stubborn });
    const starting = start(attachments, 'web', { deadlineMs: 2500 });
    const { attachment } = await starting;
    const leader = await leaderOf(attachment);
    const [stopped] = await attachments.stop('web');
    expect(stopped?.ended).toMatchObject({ how: 'killed', stillAlive: [] });
    expect(await isAlive(leader)).toBe(false);
  });
});

test('output that grows too long is rotated while dstack keeps writing, and its facts are kept', async () => {
  setup.sandbox.controls.scenarios.set('chatty', {
    script: Array.from(
      { length: 2000 },
      (_, index) => [index === 0 ? 0 : 10, `${index} ${'x'.repeat(500)}\n`] as const,
    ),
    untilStopped: true,
  });
  await setup.startTask('chatty');
  const attachments = setup.open({ maxOutputBytes: 20_000, rotateEveryMs: 50 });
  const { attachment } = await start(attachments, 'chatty');
  await untilTrue(async () => (await readdir(path.dirname(attachment.outputFile))).includes('chatty.log.1'));
  await untilTrue(async () => (await stat(attachment.outputFile)).size > 0);
  const [seen] = await attachments.status('chatty');
  expect(seen).toMatchObject({
    pid: attachment.pid,
    state: { kind: 'attached', connection: { sshAlias: 'chatty' } },
    dstackOutput: '',
  });
  expect((await stat(attachment.outputFile)).size).toBeLessThan(2_000_000);
  expect(seen?.jobOutput).toMatch(/^\d+ x+\n/);
  await setup.sandbox.dstack('stop', 'chatty', '-y', '--abort');
});
