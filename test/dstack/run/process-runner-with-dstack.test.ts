import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createCatalog, createHelpSource } from '../../../src/dstack/catalog/create-catalog.ts';
import type { Catalog, CommandRequest } from '../../../src/dstack/argv/command.ts';
import { checkArgv, hasEffect } from '../../../src/dstack/argv/check-argv.ts';
import { findExecutable } from '../../../src/dstack/locate/find-executable.ts';
import type { FoundExecutable } from '../../../src/dstack/locate/find-executable.ts';
import { createPlainRunner } from '../../../src/dstack/run/process-runner.ts';
import { readIdentity } from '../../../src/dstack/locate/cli-identity.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import type { RunOptions, Runner } from '../../../src/dstack/run/runner.ts';
import { installedDstack } from '../../support/installed-dstack.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { settleAtEnd, silentLog } from '../../support/recorded-catalog.ts';
import { processesIn } from '../../support/processes.ts';
import { until } from '../../support/wait.ts';
import { consentTo } from '../../support/warm-test-runner.ts';
import { inRepository } from '../../support/paths.ts';

let home: string;
let executable: FoundExecutable;
let runner: Runner;
let catalog: Catalog;

/** Creates a home folder in which dstack uses this server. */
async function createHome(url: string): Promise<string> {
  const folder = emptyFolder();
  await mkdir(path.join(folder, '.dstack'));
  const config = `projects:\n- {name: main, url: "${url}", token: none, default: true}\n`;
  await writeFile(path.join(folder, '.dstack/config.yml'), config);
  // dstack asks the internet for a newer version unless this file is of today.
  await mkdir(path.join(folder, '.cache/.dstack/cli'), { recursive: true });
  await writeFile(path.join(folder, '.cache/.dstack/cli/last_check'), '');
  return folder;
}

beforeAll(async () => {
  // Port 9 of this machine: nothing answers there, and dstack reads the configuration before it asks the server.
  home = await createHome('http://127.0.0.1:9');
  executable = await findExecutable({ configured: installedDstack, env: process.env, homeDir: home });
  runner = createRunner();
  const identity = await readIdentity(executable.path, runner);
  const source = createHelpSource({ runner });
  catalog = settleAtEnd(createCatalog({ source, identity, cacheDir: path.join(home, 'cache'), log: silentLog }));
});
afterAll(() => runner.close());

const createRunner = (limits: { changeLimitMs?: number } = {}): Runner =>
  createPlainRunner({
    executable,
    env: { PATH: process.env['PATH'], HOME: home },
    launcherPath: inRepository('worker', 'launch_dstack.py'),
    log: silentLog,
    ...limits,
  });

async function read(request: CommandRequest, options: Partial<RunOptions> = {}): Promise<Transcript> {
  const argv = await checkArgv(request, catalog);
  if (!hasEffect(argv, 'read')) throw new Error(`its effect is ${argv.effect}`);
  return runner.read(argv, { timeoutMs: 60_000, answer: 'n', cwd: home, ...options });
}

test('the version and the documented commands are those of the installed dstack', async () => {
  expect(catalog.version).toMatch(/^\d+\.\d+\.\d+/);
  expect((await catalog.commands()).map((command) => command.name)).toEqual(
    expect.arrayContaining(['apply', 'ps', 'stop']),
  );
});

test('dstack reads the approved bytes, not the current content of the file', async () => {
  await writeFile(path.join(home, 'task.dstack.yml'), 'type: put-in-since\n');
  const pinnedFile = { path: 'task.dstack.yml', bytes: Buffer.from('type: approved-one\n') };
  const transcript = await read({ command: 'apply', flags: { '--file': 'task.dstack.yml' } }, { pinnedFile });
  expect(transcript).toMatchObject({ exit: { kind: 'exited', code: 1 }, pinning: 'held' });
  expect(transcript.stdout + transcript.stderr).toContain('approved-one');
  expect(transcript.stdout + transcript.stderr).not.toContain('put-in-since');
});

test('without a pinned file, dstack reads the disk', async () => {
  await writeFile(path.join(home, 'task.dstack.yml'), 'type: on-the-disk\n');
  const { stdout, stderr } = await read({ command: 'apply', flags: { '--file': 'task.dstack.yml' } });
  expect(stdout + stderr).toContain('on-the-disk');
});

test('an invented flag never reaches dstack', async () => {
  await expect(read({ command: 'ps', extraFlags: { '--gpus': 2 } })).rejects.toMatchObject({ code: 'unknown-flag' });
});

test('an apply whose server never answers is ended at the limit of a change', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const folder = await createHome(`http://127.0.0.1:${address.port}`);
  await writeFile(path.join(folder, 'task.dstack.yml'), 'type: task\nname: never\ncommands: [ls]\n');
  const flags = { '--file': 'task.dstack.yml', '--yes': true, '--detach': true } as const;
  const apply = await checkArgv({ command: 'apply', configurationType: 'task', flags }, catalog);
  if (!hasEffect(apply, 'change')) throw new Error(`its effect is ${apply.effect}`);
  let isAsked = false;
  server.on('connection', (socket) => {
    isAsked = true;
    socket.on('error', () => undefined).resume();
  });
  // A busy machine may need longer until dstack asks its server at all.
  for (const changeLimitMs of [5_000, 20_000, 80_000]) {
    const limited = createRunner({ changeLimitMs });
    await limited.change(apply, consentTo(apply), { timeoutMs: changeLimitMs, cwd: folder, env: { HOME: folder } });
    await until(
      () => processesIn(folder),
      (left) => left.length === 0,
    );
    if (isAsked) break;
  }
  expect(isAsked).toBe(true);
});
