import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCatalog } from '../../../src/dstack/catalog/create-catalog.ts';
import type { Catalog } from '../../../src/dstack/argv/catalog.ts';
import { checkArgv, hasEffect } from '../../../src/dstack/argv/check-argv.ts';
import type { CommandRequest } from '../../../src/dstack/argv/command.ts';
import { findExecutable } from '../../../src/dstack/locate/find-executable.ts';
import { createHelpSource } from '../../../src/dstack/catalog/help-source.ts';
import { createPlainRunner } from '../../../src/dstack/run/process-runner.ts';
import { readIdentity } from '../../../src/dstack/locate/cli-identity.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import type { RunOptions, Runner } from '../../../src/dstack/run/runner.ts';
import { spendConsent } from '../../../src/safety/consent/consent.ts';
import { installedDstack } from '../../support/installed-dstack.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { settleAtEnd, silentLog } from '../../support/recorded-catalog.ts';
import { inRepository } from '../../support/paths.ts';

let home: string;
let runner: Runner;
let catalog: Catalog;

// Port 9 of this machine: nothing answers there, and dstack reads the configuration before it asks the server.
const CLIENT_CONFIG = 'projects:\n- {name: main, url: "http://127.0.0.1:9", token: none, default: true}\n';

beforeAll(async () => {
  home = emptyFolder();
  await mkdir(path.join(home, '.dstack'));
  await writeFile(path.join(home, '.dstack/config.yml'), CLIENT_CONFIG);
  // dstack asks the internet for a newer version unless this file is of today.
  await mkdir(path.join(home, '.cache/.dstack/cli'), { recursive: true });
  await writeFile(path.join(home, '.cache/.dstack/cli/last_check'), '');
  const executable = await findExecutable({ configured: installedDstack, env: process.env, homeDir: home });
  const launcherPath = inRepository('worker', 'launch_dstack.py');
  const env = { PATH: process.env['PATH'], HOME: home };
  runner = createPlainRunner({ executable, env, spendConsent, launcherPath, log: silentLog });
  const identity = await readIdentity(executable.path, runner);
  const source = createHelpSource({ runner });
  catalog = settleAtEnd(createCatalog({ source, identity, cacheDir: path.join(home, 'cache'), log: silentLog }));
});
afterAll(() => runner.close());

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
