import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { findExecutable } from '../../../src/dstack/locate/find-executable.ts';
import type { Executable } from '../../../src/dstack/run/runner.ts';
import { resolveCliIdentity, readInstallationStamp } from '../../../src/dstack/locate/cli-identity.ts';
import { installedDstack } from '../../support/installed-dstack.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { silentLog } from '../../support/recorded-catalog.ts';

let home: string;
let executable: Executable;
let cacheDir: string;
let version: string;
let starts: number;

const packages = (): string => path.join(home, 'lib/python3.11/site-packages');

beforeEach(async () => {
  home = emptyFolder();
  cacheDir = path.join(home, 'cache');
  [version, starts] = ['0.22.5', 0];
  await mkdir(path.join(home, 'bin'));
  await mkdir(path.join(packages(), 'dstack-0.22.5.dist-info'), { recursive: true });
  const file = path.join(home, 'bin/dstack');
  await writeFile(file, 'script');
  executable = { path: file, interpreter: path.join(home, 'bin/python3'), tried: [] };
});

const know = (of: Executable = executable) =>
  resolveCliIdentity({
    executable: of,
    cacheDir,
    log: silentLog,
    runner: {
      async read() {
        starts++;
        return {
          command: '',
          stdout: `${version}\n`,
          stderr: '',
          omittedBytes: 0,
          exit: { kind: 'exited', code: 0 },
          durationMs: 0,
          ran: 'plain',
        };
      },
    },
  });

test('a known installation is not started again', async () => {
  const first = await know();
  expect(await know()).toEqual(first);
  expect(first).toMatchObject({ path: executable.path, version: '0.22.5', size: 6 });
  expect(starts).toBe(1);
  const [file = ''] = await readdir(cacheDir);
  expect((await stat(path.join(cacheDir, file))).mode & 0o777).toBe(0o600);
});

test.each<[string, () => Promise<unknown>]>([
  ['another package', () => mkdir(path.join(packages(), 'dstack-0.23.0.dist-info'))],
  ['the same package installed again', () => utimes(path.join(packages(), 'dstack-0.22.5.dist-info'), 9, 9)],
  ['another script', () => writeFile(executable.path, 'longer script')],
])('%s: it is identified again', async (_what, change) => {
  await know();
  await change();
  version = '0.23.0';
  expect((await know()).version).toBe('0.23.0');
  expect(starts).toBe(2);
});

test.each(['', '{', '{"stamp":"x"}'])('a cache that contains %j is rewritten', async (text) => {
  await know();
  const [file = ''] = await readdir(cacheDir);
  await writeFile(path.join(cacheDir, file), text);
  expect((await know()).version).toBe('0.22.5');
  expect(JSON.parse(await readFile(path.join(cacheDir, file), 'utf8'))).toMatchObject({
    identity: { version: '0.22.5' },
  });
});

test('if an upgrade could go unnoticed, it is identified each time', async () => {
  await know({ path: executable.path, tried: [] });
  await know({ path: executable.path, tried: [] });
  expect(starts).toBe(2);
});

test('the installed dstack can be identified by its files', async () => {
  const installed = await findExecutable({ configured: installedDstack, env: {}, homeDir: home });
  expect(await readInstallationStamp(installed)).toMatch(/dstack-[\d.]+\.dist-info/);
});
