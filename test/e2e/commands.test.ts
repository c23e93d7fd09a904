import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import * as z from 'zod';
import { createHome } from '../../sandbox/create-home.ts';
import { withLock } from '../../src/core/exclusive-lock.mjs';
import { sandboxPlace } from '../../src/settings/installation.ts';
import { connect } from '../support/connect.ts';
import { createTestHome } from '../support/test-home.ts';
import { builtServer } from '../support/paths.ts';
import { makeTemporary, readUntil } from '../support/run-command.ts';

test('setup adds the running server to a client and reports errors with its exit code', async () => {
  const home = await makeTemporary();
  const setUp = (...args: string[]) =>
    execa(process.execPath, [builtServer, 'setup', ...args], {
      env: { HOME: home },
      cwd: home,
      stdin: 'ignore',
      reject: false,
    });
  expect((await setUp('--help')).stdout).toContain(`Usage: node ${builtServer} setup`);
  expect(await setUp('gemini', '--dry-run')).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(JSON.stringify(builtServer)),
  });
  expect(await setUp('gemini')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('no one can be asked') });
  expect(await setUp('gemini', '--yes', '--confirm', 'nobody')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('--confirm is "nobody"'),
  });
  expect(await readdir(home)).toEqual([]);
  expect(await setUp('gemini', '--yes', '--confirm', 'person')).toMatchObject({ exitCode: 0 });
  const written: unknown = JSON.parse(await readFile(path.join(home, '.gemini', 'settings.json'), 'utf8'));
  expect(written).toEqual({
    mcpServers: { dstack: { command: process.execPath, args: [builtServer], env: { DSTACK_MCP_CONFIRM: 'person' } } },
  });
});

test('a server whose policy is not valid does not start', async () => {
  const home = await makeTemporary();
  const policy = path.join(home, 'policy.yml');
  await writeFile(policy, 'max_price: cheap\n');
  const env = { HOME: home, DSTACK_MCP_STATE_DIR: home, DSTACK_MCP_POLICY: policy };
  expect(await execa(process.execPath, [builtServer], { env, input: '', reject: false })).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr: expect.stringContaining(`The policy file ${policy} can't be used, so the server doesn't start`),
  });
});

test('a client of the sandbox works while one runs; once it has ended, calls say so and create nothing', async () => {
  const { url, token, cli } = inject('sandbox');
  const stateDir = await makeTemporary();
  const place = sandboxPlace(stateDir);
  const home = await makeTemporary();
  const client = await connect({ env: { HOME: home, DSTACK_MCP_STATE_DIR: stateDir, DSTACK_MCP_SANDBOX: 'on' } });
  const ended = {
    facts: { outcome: 'failed', code: 'sandbox-ended' },
    text: expect.stringContaining('`npm run sandbox` in '),
  };
  expect(await client.call('ps')).toMatchObject(ended);
  expect(existsSync(place.home)).toBe(false);
  await withLock(place.lockFile, { deadlineMs: 0 }, async () => {
    const binFolder = path.dirname(cli);
    await mkdir(place.home, { recursive: true });
    await symlink(binFolder, place.binFolder);
    await createHome({ home: place.home, url, token, project: 'main', binFolder });
    expect((await client.call('ps')).facts).toMatchObject({ outcome: 'done' });
    await rm(place.home, { recursive: true });
  });
  expect(await client.call('ps')).toMatchObject(ended);
  expect(await client.call('plan', { file: 'train.dstack.yml' })).toMatchObject(ended);
  await client.close();
  expect(await readdir(place.folder)).toEqual(['state']);
  expect(await readdir(home)).toEqual([]);
});

test('in a terminal, the server says that it is waiting for a client and names the other commands', async () => {
  const home = await makeTemporary();
  // `script` provides a terminal.
  const server = execa('script', ['-qec', `'${process.execPath}' '${builtServer}'`, '/dev/null'], {
    env: { HOME: home },
    reject: false,
  });
  const said = await readUntil(server.stdout, '--help');
  server.kill('SIGTERM');
  expect(said).toMatch(/MCP server and is waiting for a client.*\r?\n.*setup.*doctor.*--help/);
  await server;
});

const report = z.object({
  checks: z.array(
    z.object({
      name: z.string(),
      state: z.enum(['ok', 'warning', 'error']),
      found: z.string(),
      fix: z.string().optional(),
    }),
  ),
});

// Not in the repository's folder, which has the dstack of the tests: nothing in the working directory is run.
function doctor(env: Readonly<Record<string, string>>, ...args: string[]) {
  return execa(process.execPath, [builtServer, 'doctor', ...args], { env, cwd: '/', stdin: 'ignore', reject: false });
}

test('doctor reports a working setup line by line and exits with 0', async () => {
  const home = await createTestHome();
  const { exitCode, stdout } = await doctor(home.env);
  expect(exitCode, stdout).toBe(0);
  expect([...stdout.matchAll(/^[✓!✗] (.{12}) /gm)].map(([, name = '']) => name.trim())).toEqual([
    'dstack',
    'commands',
    'catalog',
    'server',
    'project',
    'ssh',
    'ssh config',
    'workspace',
    'state',
    'warm worker',
    'policy',
    'consent',
  ]);
  expect(stdout).toMatch(/^✓ server +project main on http:\S+ responds in \d+ ms$/m);
  expect(stdout).toMatch(/^✓ project +main: its token is valid$/m);
  expect(stdout).toMatch(/\n\n0 problems, \d+ warnings?\.$/);
});

test('doctor reports problems with fixes, exits with 1, and prints JSON with --json', async () => {
  const home = await createTestHome({ token: 'not-the-token' });
  await writeFile(path.join(home.home, '.ssh'), 'no folder');
  const { exitCode, stdout } = await doctor({ ...home.env, DSTACK_MCP_WORKSPACE: '/nowhere' }, '--json');
  expect(exitCode).toBe(1);
  const checks = new Map(report.parse(JSON.parse(stdout)).checks.map((check) => [check.name, check]));
  expect(checks.get('server')?.state).toBe('ok');
  expect(checks.get('project')).toMatchObject({ state: 'error', fix: expect.any(String) });
  expect(checks.get('workspace')).toMatchObject({ state: 'warning', found: expect.stringContaining('/nowhere') });
  expect(checks.get('ssh config')).toMatchObject({ state: 'warning', found: expect.stringContaining('.ssh') });
  expect(stdout).not.toContain('not-the-token');
});

test('doctor asks for the project itself, and says how to add one', async () => {
  const home = await createTestHome();
  const file = path.join(home.home, '.dstack', 'config.yml');
  await writeFile(file, (await readFile(file, 'utf8')).replace('name: main', 'name: nowhere'));
  const { exitCode, stdout } = await doctor(home.env);
  expect(exitCode, stdout).toBe(1);
  expect(stdout).toMatch(/^✗ project +http:\S+ has no project nowhere$/m);
  expect(stdout).toMatch(/Fix: .*dstack project list.*dstack project add/);
});

test('doctor --verbose lists where it looked for dstack', async () => {
  const home = await makeTemporary();
  const bin = path.join(home, 'bin');
  const nowhere = await doctor({ HOME: home, PATH: bin, DSTACK_MCP_CLI: path.join(bin, 'none') });
  expect(nowhere).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(path.join(bin, 'none')) });
  expect(nowhere.stdout).toContain('uv tool install dstack');
  const { DSTACK_MCP_CLI: cli = '', ...env } = (await createTestHome()).env;
  const found = await doctor({ ...env, PATH: `${bin}:${path.dirname(cli)}:/usr/bin:/bin` }, '--verbose');
  expect(found.stdout).toContain(` at ${cli}\n${' '.repeat(15)}Not found at: ${path.join(bin, 'dstack')}`);
});
