import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { cliEnvironment } from '../../../src/dstack/run/spawn-dstack.ts';
import { runPython } from '../../support/run-python.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const folder = emptyFolder();
const repository = path.join(folder, 'clone');
const ran = path.join(folder, 'ran');
const script = path.join(folder, 'script.sh');
const env = { PATH: process.env['PATH'], HOME: folder, LANG: 'C.UTF-8' };

const git = (...args: string[]) =>
  execa('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: repository, env, extendEnv: false });

/** Has dstack read the repository as it does for `repos`, in the given environment. */
const readRepository = (variables: Readonly<Record<string, string>>): Promise<unknown> =>
  runPython(
    `from dstack._internal.core.models.repos.remote import RemoteRepo
data = RemoteRepo.from_dir(${JSON.stringify(repository)}).run_repo_data
print(json.dumps([data.repo_branch, data.repo_diff.decode()]))`,
    { cwd: folder, env: variables },
  );

beforeAll(async () => {
  await writeFile(script, `#!/bin/sh\necho "$0" >> ${ran}\n`);
  await chmod(script, 0o755);
  await mkdir(repository);
  await git('init', '--quiet', '--initial-branch=main');
  await writeFile(path.join(repository, 'file.txt'), 'first\n');
  await writeFile(path.join(repository, 'other.txt'), 'other\n');
  await git('add', '.');
  await git('commit', '--quiet', '--message=first');
  await git('remote', 'add', 'origin', 'https://127.0.0.1:9/owner/repository.git');
  await git('update-ref', 'refs/remotes/origin/main', 'HEAD');
  await git('config', 'branch.main.remote', 'origin');
  await git('config', 'branch.main.merge', 'refs/heads/main');
  await appendFile(path.join(repository, 'file.txt'), 'second\n');
});

beforeEach(() => rm(ran, { force: true }));

test.each([
  {
    what: 'a file system monitor',
    add: () => git('config', 'core.fsmonitor', script),
    remove: () => git('config', '--unset', 'core.fsmonitor'),
  },
  {
    what: 'a hook of the repository',
    add: async () => {
      await writeFile(path.join(repository, '.git/hooks/post-index-change'), `#!/bin/sh\nexec ${script}\n`);
      await chmod(path.join(repository, '.git/hooks/post-index-change'), 0o755);
    },
    remove: () => rm(path.join(repository, '.git/hooks/post-index-change')),
  },
])("dstack's git runs $what, and not in the environment of this server", async ({ add, remove }) => {
  await add();
  const touch = (time: number) => utimes(path.join(repository, 'other.txt'), time, time);
  await touch(1_700_000_000);
  const bare = await readRepository({});
  expect(existsSync(ran)).toBe(true);
  await rm(ran, { force: true });
  await touch(1_700_000_001);
  const hardened = await readRepository(cliEnvironment(env));
  expect(existsSync(ran)).toBe(false);
  expect(hardened).toEqual(bare);
  expect(hardened).toEqual(['main', expect.stringContaining('+second')]);
  await remove();
});

test('a folder that looks like a bare repository is not one', async () => {
  const bare = path.join(repository, 'vendor');
  await git('init', '--quiet', '--bare', 'vendor');
  const status = (variables: Readonly<Record<string, string>>) =>
    execa('git', ['rev-parse', '--git-dir'], { cwd: bare, env: variables, extendEnv: false, reject: false });
  expect((await status({ ...env, PATH: env.PATH ?? '' })).exitCode).toBe(0);
  expect((await status(cliEnvironment(env))).stderr).toContain('bare repository');
});

test('settings that git already has from the environment are kept', () => {
  const settings = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'core.abbrev', GIT_CONFIG_VALUE_0: '12' };
  expect(cliEnvironment({ ...env, ...settings })).toMatchObject({
    GIT_CONFIG_COUNT: '5',
    GIT_CONFIG_KEY_0: 'core.abbrev',
    GIT_CONFIG_KEY_1: 'core.fsmonitor',
    GIT_CONFIG_VALUE_1: 'false',
    GIT_CONFIG_KEY_4: 'safe.bareRepository',
    GIT_TERMINAL_PROMPT: '0',
  });
});
