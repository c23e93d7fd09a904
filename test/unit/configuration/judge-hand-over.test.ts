import { mkdirSync, realpathSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { CommandFailed } from '../../../src/core/report.ts';
import { judgeHandOver, reportHandOver } from '../../../src/configuration/judge-hand-over.ts';
import type { HandOverScope, PlannedFile } from '../../../src/configuration/judge-hand-over.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { refusal } from '../../support/set-up-gate.ts';

const root = realpathSync(emptyFolder());
const at = (...parts: string[]): string => path.join(root, ...parts);
const write = (file: string, text = 'x'): void => {
  mkdirSync(path.dirname(at(file)), { recursive: true });
  writeFileSync(at(file), text);
};

beforeEach(() => {
  for (const folder of ['ws', 'home', 'outside']) rmSync(at(folder), { recursive: true, force: true });
  for (const folder of ['ws/sub', 'home/.ssh', 'outside/folder']) mkdirSync(at(folder), { recursive: true });
  for (const file of ['ws/run.dstack.yml', 'ws/sub/a.txt', 'ws/sub/b/c.txt', 'home/.ssh/id_rsa', 'outside/secret.txt'])
    write(file);
});

const judge = (
  value: Readonly<Record<string, unknown>>,
  { readOnly = false, ...environment }: Partial<PlannedFile['environment'] & HandOverScope> = {},
) =>
  judgeHandOver(
    {
      cli: { env: { HOME: at('home'), USERPROFILE: at('home') }, introspection: { walk: async () => undefined } },
      folders: [at('ws')],
      readOnly,
    },
    {
      file: { realPath: at('ws/run.dstack.yml'), relativePath: 'run.dstack.yml', folder: at('ws') },
      value: { type: 'task', ...value },
      environment: { given: [], inherited: [], ...environment },
    },
  );

/** A repository with one more line in its configuration. */
function repository(folder: string, more = ''): void {
  write(`${folder}/.git/HEAD`, 'ref: refs/heads/main\n');
  write(
    `${folder}/.git/config`,
    `[core]\n\tbare = false\n[remote "origin"]\n\turl = https://user:word@git.example/x\n${more}`,
  );
}

test('a configuration alone hands nothing over, and nothing is said', async () => {
  const nothing = { warnings: [], hashes: {} };
  expect(await judge({ commands: ['x'], env: { A: 'b' } })).toEqual(nothing);
  expect(await judge({}, { readOnly: true })).toEqual(nothing);
});

test('files and variables are said, and the content of the folder is bound', async () => {
  const { warnings, hashes } = await judge({ files: ['sub:/x'] }, { inherited: ['HF_TOKEN'] });
  expect(warnings).toEqual([
    "planning sent 2 files (2 bytes) from sub and the values of HF_TOKEN from this server's environment to the dstack server",
  ]);
  const before = hashes[at('ws/sub')];
  expect(before).toMatch(/^[0-9a-f]{64}$/);
  expect((await judge({ files: ['sub:/y'] })).hashes).toEqual({ [at('ws/sub')]: before });
  utimesSync(at('ws/sub/b/c.txt'), 1, 1);
  expect((await judge({ files: ['sub'] })).hashes[at('ws/sub')]).not.toBe(before);
});

test('the whole workspace and a missing path can be named', async () => {
  expect((await judge({ files: ['.'] })).warnings[0]).toContain('3 files (3 bytes) from .');
  expect((await judge({ files: ['missing'] })).warnings[0]).toContain('0 files');
});

test.each([
  ['an absolute path', () => '/anywhere/secret.txt:/x'],
  ['a file outside', () => at('outside/secret.txt')],
  ['a folder of keys', () => '~/.ssh'],
  ['a folder of keys in another spelling', () => './/~/.ssh:/x'],
  ["another user's home folder", () => '~root/.ssh'],
  ['a path that climbs out', () => '../outside/secret.txt'],
  ['a missing path outside', () => '../outside/missing'],
  ['the parent folder', () => '..'],
  ['a process', () => '/proc/self/environ'],
  [
    'a link that leads out',
    () => {
      symlinkSync(at('outside/secret.txt'), at('ws/link'));
      return 'link';
    },
  ],
  [
    'a folder that is a link',
    () => {
      symlinkSync(at('outside'), at('ws/link'));
      return 'link/secret.txt';
    },
  ],
  [
    'a folder that contains a link that leads out',
    () => {
      symlinkSync('../../../outside/secret.txt', at('ws/sub/b/link'));
      return '.';
    },
  ],
  [
    'a climb after a link',
    () => {
      symlinkSync(at('ws/sub/b'), at('ws/deep'));
      return 'deep/../a.txt';
    },
  ],
])('%s is refused before dstack is started', async (_what, prepare) => {
  const named = prepare();
  for (const value of [{ files: [named] }, { files: [{ local_path: named.replace(/:\/x$/, ''), path: '/x' }] }]) {
    const error = await refusal(judge(value));
    expect(error).toMatchObject({
      code: 'outside-workspace',
      message: expect.stringContaining('Nothing was run or sent'),
    });
    expect(error.hint).toContain('DSTACK_MCP_WORKSPACE');
  }
});

test('a link inside of the workspace is followed, and one that leads nowhere is left to dstack', async () => {
  write('ws/data/big.bin', 'x'.repeat(3000));
  symlinkSync('../data/big.bin', at('ws/sub/link'));
  symlinkSync('nowhere', at('ws/sub/broken'));
  expect((await judge({ files: ['sub'] })).warnings[0]).toContain('4 files (2.9 KB) from sub');
});

test.each([
  ['~/.ssh/id_rsa', 'outside-workspace'],
  ['../outside/secret.txt', 'outside-workspace'],
  ['~root/key', 'outside-workspace'],
])('the private key %s of a fleet is refused', async (file, code) => {
  for (const ssh of [
    { identity_file: file, hosts: [] },
    { hosts: [{ hostname: 'h', identity_file: file }] },
    { hosts: [], proxy_jump: { identity_file: file } },
    { hosts: [{ hostname: 'h', proxy_jump: { identity_file: file } }] },
  ])
    expect(await refusal(judge({ type: 'fleet', ssh_config: ssh }))).toMatchObject({ code });
});

test('a private key in the workspace is named, and the file next to it must be inside, too', async () => {
  write('ws/key');
  const fleet = { type: 'fleet', ssh_config: { identity_file: 'key', hosts: [] } };
  const { warnings, hashes } = await judge(fleet);
  expect(warnings).toEqual(['planning sent the private SSH key key to the dstack server']);
  expect(Object.keys(hashes)).toEqual([at('ws/key')]);
  symlinkSync(at('outside/secret.txt'), at('ws/key.pub'));
  expect(await refusal(judge(fleet))).toMatchObject({ code: 'outside-workspace' });
});

test('a local repository is said with the hosts of its remotes, without the password in their URLs', async () => {
  repository('ws/code');
  const { warnings, hashes } = await judge({ repos: ['code'] });
  expect(warnings).toEqual([
    'planning sent the branch, commit and author of the Git repository code and the Git credentials that dstack finds for git.example to the dstack server, and contacted git.example',
    'applying sends the uncommitted changes in the Git repository code',
  ]);
  expect(Object.keys(hashes)).toEqual([at('ws/code/.git')]);
  write('ws/code/.git/HEAD', 'ref: refs/heads/other\n');
  expect((await judge({ repos: ['code'] })).hashes).not.toEqual(hashes);
});

test('a repository by its URL is said with its host', async () => {
  expect((await judge({ repos: ['https://any.host/DATA.git'] })).warnings).toEqual([
    'planning sent the Git credentials that dstack finds for any.host to the dstack server, and contacted any.host',
  ]);
});

test.each([
  ['its configuration', 'ws/code', '[core]\n\tfsmonitor = /tmp/x\n', 'core.fsmonitor'],
  ['a filter', 'ws/code', '[filter "a"]\n\tclean = x\n', 'filter.a.clean'],
  ['a helper with a URL', 'ws/code', '[credential "https://u:p@h"]\n\thelper = x\n', 'credential.helper'],
  ['a repository in it', 'ws/code/vendor/lib', '[diff]\n\texternal = x\n', 'diff.external'],
  ['an included file', 'ws/code', '[include]\n\tpath = x\n', 'include.path'],
  ['a text that can be read in two ways', 'ws/code', '[core]\n\ta = b \\\n', 'certainty'],
])('a repository that could run a program because of %s is refused', async (_what, folder, more, name) => {
  repository('ws/code');
  repository(folder, more);
  const error = await refusal(judge({ repos: ['code'] }));
  expect(error).toMatchObject({ code: 'invalid-file', message: expect.stringContaining(name) });
  expect(error.message).not.toContain('u:p');
});

test('the configuration of a submodule and of a work tree counts', async () => {
  for (const file of ['modules/lib/config', 'modules/a/modules/b/config', 'config.worktree']) {
    rmSync(at('ws/code'), { recursive: true, force: true });
    repository('ws/code');
    write(`ws/code/.git/${file}`, '[core]\n\thooksPath = x\n');
    expect(await refusal(judge({ repos: ['code'] }))).toMatchObject({
      message: expect.stringContaining('core.hooksPath'),
    });
  }
});

test('a repository whose own folder or work tree is outside is refused', async () => {
  repository('outside/code');
  mkdirSync(at('ws/code'));
  write('ws/code/.git', `gitdir: ${at('outside/code/.git')}\n`);
  expect(await refusal(judge({ repos: ['code'] }))).toMatchObject({ code: 'outside-workspace' });
  rmSync(at('ws/code/.git'));
  symlinkSync(at('outside/code/.git'), at('ws/code/.git'));
  expect(await refusal(judge({ repos: ['code'] }))).toMatchObject({ code: 'outside-workspace' });
  rmSync(at('ws/code'), { recursive: true });
  repository('ws/code', `[core]\n\tworktree = ${at('outside')}\n`);
  expect(await refusal(judge({ repos: ['code'] }))).toMatchObject({ code: 'outside-workspace' });
  expect(await refusal(judge({ repos: [at('outside/code')] }))).toMatchObject({ code: 'outside-workspace' });
});

test('a bare repository that is kept as plain files, and a path that git would expand, are refused', async () => {
  for (const file of ['HEAD', 'objects/x', 'refs/x']) write(`ws/vendor/${file}`);
  expect(await refusal(judge({ repos: ['vendor'] }))).toMatchObject({ message: expect.stringContaining('bare') });
  repository('ws/$HOME');
  expect(await refusal(judge({ repos: ['$HOME'] }))).toMatchObject({ code: 'outside-workspace' });
});

test('a registry password is named, and its value is not shown', async () => {
  const { warnings } = await judge({ registry_auth: { username: 'me', password: 'hunter2' } });
  expect(warnings).toEqual(['planning sent the registry password in the configuration to the dstack server']);
});

test.each<[string, Readonly<Record<string, unknown>>, Partial<PlannedFile['environment']>, string]>([
  ['files', { files: ['sub'] }, {}, '2 files'],
  ['a repository', { repos: ['https://any.host/x'] }, {}, 'any.host'],
  ['a password', { registry_auth: { password: 'x' } }, {}, 'registry password'],
  ["values of this server's environment", {}, { inherited: ['HF_TOKEN'] }, 'HF_TOKEN'],
  ['values of env files', {}, { given: ['HF_TOKEN from .envrc'] }, 'HF_TOKEN from .envrc'],
])('a read-only server refuses a plan that would send %s', async (_what, value, environment, said) => {
  const error = await refusal(judge(value, { readOnly: true, ...environment }));
  expect(error).toMatchObject({ code: 'read-only', message: expect.stringContaining(said) });
  expect(error.message).toContain('planning run.dstack.yml would send');
});

test('the error of a failed plan says what was sent before it failed', () => {
  const failed = new CommandFailed({
    outcome: 'failed',
    summary: 'It failed.',
    printed: [],
    facts: {},
  });
  const handOver = { warnings: ['planning sent 2 files (2 bytes) from sub to the dstack server'], hashes: {} };
  const uploaded = { event: 'sent', kind: 'hand-over', path: 'files/upload_archive' } as const;
  expect(reportHandOver(failed, { requests: [uploaded] }, handOver).report.summary).toBe(
    'It failed. Before that, planning sent 2 files (2 bytes) from sub to the dstack server.',
  );
  expect(reportHandOver(failed, { requests: [] }, handOver)).toBe(failed);
  expect(reportHandOver(failed, {}, handOver)).toBe(failed);
});
