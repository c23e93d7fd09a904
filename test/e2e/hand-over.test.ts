import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { AtEnd } from '../support/connect.ts';
import { startFaultyServer } from '../support/faulty-server.ts';
import type { FaultyServer } from '../support/faulty-server.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';

const HANDED_OVER = /\/(?:upload_archive|upload_code|init|get_plan)$/;

/** A client whose requests to the sandbox are recorded. */
async function connectRecorded(env: Readonly<Record<string, string>>, atEnd: AtEnd) {
  const server = await startFaultyServer(inject('sandbox').url, atEnd);
  const home = await createTestHome({ url: server.url, atEnd });
  const client = await connect({ env: { ...home.env, ...env }, atEnd });
  return { server, home, client };
}

let shared: Awaited<ReturnType<typeof connectRecorded>>;
beforeAll(async () => {
  shared = await connectRecorded({ HF_TOKEN: 'never-shown-value' }, collectEnds(afterAll));
});

/** The shared client, and what its server is handed over from now on. */
function useShared() {
  const { server, home, client } = shared;
  return { home, client, handedOver: handedOverTo(server) };
}

/** Returns a function that returns the requests from now on that hand something over. */
function handedOverTo({ seen }: FaultyServer): () => readonly string[] {
  const before = seen.length;
  return () =>
    seen
      .slice(before)
      .map((one) => one.path)
      .filter((one) => HANDED_OVER.test(one));
}

test('nothing outside of the workspace reaches the server, however a configuration names it', async () => {
  const { home, client, handedOver } = useShared();
  const secret = path.join(home.home, '.ssh', 'secret');
  await mkdir(path.dirname(secret), { recursive: true });
  await writeFile(secret, 'never sent');
  await mkdir(path.join(home.workspace, 'folder'));
  await symlink(secret, path.join(home.workspace, 'folder', 'link'));
  await symlink(home.home, path.join(home.workspace, 'up'));
  const fleet = { type: 'fleet', name: uniqueName('ssh') };
  const configurations = [
    ...[secret, '~/.ssh', './/~/.ssh', '../.ssh', 'folder', 'folder/link', 'up/.ssh', '.'].map((local) =>
      task(uniqueName('outside'), { files: [`${local}:/x`] }),
    ),
    task(uniqueName('outside'), { files: [{ local_path: secret, path: '/x' }] }),
    task(uniqueName('outside'), { repos: ['~'] }),
    { ...fleet, ssh_config: { user: 'u', identity_file: secret, hosts: ['127.0.0.1'] } },
    { ...fleet, ssh_config: { user: 'u', hosts: [{ hostname: '127.0.0.1', identity_file: '~/.ssh/secret' }] } },
  ];
  for (const configuration of configurations) {
    const file = await home.write('outside.dstack.yml', configuration);
    const { facts, text } = await client.call('plan', { file });
    expect(facts, text).toMatchObject({ outcome: 'refused', code: 'outside-workspace' });
    expect(text).toContain('DSTACK_MCP_WORKSPACE');
  }
  expect(handedOver()).toEqual([]);
});

test('a repository in the workspace that would run a program is refused, and the program is not run', async () => {
  const { home, client, handedOver } = useShared();
  const repository = path.join(home.workspace, 'vendor', 'lib');
  const program = path.join(home.home, 'program.sh');
  await mkdir(repository, { recursive: true });
  await writeFile(program, `#!/bin/sh\ntouch ${home.home}/ran\n`);
  await chmod(program, 0o755);
  await execa('git', ['init', '--quiet'], { cwd: repository });
  await execa('git', ['config', 'core.fsmonitor', program], { cwd: repository });
  const file = await home.write('repository.dstack.yml', task(uniqueName('repository'), { repos: ['vendor/lib'] }));
  const { facts, text } = await client.call('plan', { file });
  expect(facts, text).toMatchObject({ outcome: 'refused', code: 'invalid-file' });
  expect(text).toContain('core.fsmonitor');
  expect(existsSync(path.join(home.home, 'ran'))).toBe(false);
  expect(handedOver()).toEqual([]);
});

test('no program of the workspace is run, even if PATH names its folder first', async () => {
  const home = await createTestHome();
  const bin = path.join(home.workspace, 'node_modules', '.bin');
  await mkdir(bin, { recursive: true });
  for (const name of ['ssh', 'git', 'code', 'cursor', 'python3'])
    await writeFile(path.join(bin, name), `#!/bin/sh\ntouch '${home.home}/ran-${name}'\n`, { mode: 0o755 });
  await writeFile(path.join(bin, 'sitecustomize.py'), `open(${JSON.stringify(`${home.home}/ran-python`)}, "w")\n`);
  const client = await connect({ env: { ...home.env, PATH: `${bin}:${home.env['PATH'] ?? ''}`, PYTHONPATH: bin } });
  expect((await client.call('doctor')).facts['outcome']).toBe('done');
  const file = await home.write('ide.dstack.yml', {
    type: 'dev-environment',
    name: uniqueName('ide'),
    ide: 'vscode',
    resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
  });
  const { facts, text } = await client.call('plan', { file });
  expect(facts, text).toMatchObject({ outcome: 'done', operation: 'create' });
  expect((await readdir(home.home)).filter((name) => name.startsWith('ran-'))).toEqual([]);
});

test('a task with files and a variable is planned in one call, which says what was sent', async () => {
  const { home, client, handedOver } = useShared();
  await mkdir(path.join(home.workspace, 'data'));
  await writeFile(path.join(home.workspace, 'data', 'data.txt'), 'x'.repeat(2048));
  const configuration = task(uniqueName('sends'), { files: ['data'], env: ['HF_TOKEN'] });
  const file = await home.write('sends.dstack.yml', configuration);
  const { facts, text } = await client.call('plan', { file });
  expect(facts, text).toMatchObject({ outcome: 'done', operation: 'create', token: expect.any(String) });
  expect(text).toMatch(/planning sent 1 file \(2\.0 KB\) from data to the dstack server/);
  expect(text).toContain("planning sent the values of HF_TOKEN from this server's environment");
  expect(text).not.toContain('never-shown-value');
  expect(handedOver().filter((one) => one.endsWith('/upload_archive'))).toHaveLength(1);
});

test('a read-only server plans what sends nothing else, and refuses to send anything', async () => {
  const { server, home, client } = await connectRecorded({ DSTACK_MCP_READ_ONLY: 'true' }, onTestFinished);
  const handedOver = handedOverTo(server);
  const name = uniqueName('read-only');
  const sends = await home.write('sends.dstack.yml', task(name, { files: ['.'] }));
  const refused = await client.call('plan', { file: sends });
  expect(refused.facts, refused.text).toMatchObject({ outcome: 'refused', code: 'read-only' });
  expect(handedOver()).toEqual([]);
  const planned = await client.call('plan', { file: await home.write('plain.dstack.yml', task(name)) });
  expect(planned.facts, planned.text).toMatchObject({ outcome: 'done' });
});
