import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { CommandFailed } from '../../../src/core/report.ts';
import { judgeHandOver, reportHandOver } from '../../../src/configuration/judge-hand-over.ts';
import type { HandOverScope, PlannedFile } from '../../../src/configuration/judge-hand-over.ts';
import { sha256 } from '../../../src/core/values.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import type { WorkTrees } from '../../../src/dstack/warm/introspection.ts';
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

interface Given extends Partial<PlannedFile['environment']> {
  readonly readOnly?: boolean;
  readonly lists?: HandOverScope['policy']['handOver'];
  readonly agreed?: readonly string[];
  readonly maxUploadBytes?: number;
  readonly workTrees?: WorkTrees;
}

/** dstack's answers for credentials: each repository has a token, and each file that has "key" in its text is a key. */
async function credentials({
  repositories,
  keys,
}: Parameters<HandOverScope['cli']['introspection']['credentials']>[0]) {
  return {
    repositories: repositories.map((text) => {
      if (!URL.canParse(text)) return null;
      const { hostname: host, pathname } = new URL(text);
      const url = `https://${host}${pathname}`;
      return { host, url, cloneUrls: [url], credentials: [{ kind: 'token' as const, path: '~/.gh', sha256: 'a1' }] };
    }),
    keys: keys.map((file) => (existsSync(file) && readFileSync(file, 'utf8').includes('key') ? 'b2' : null)),
  };
}

const judge = (value: Readonly<Record<string, unknown>>, given: Given = {}) => {
  const { readOnly = false, lists = {}, agreed = [], maxUploadBytes = 1024 ** 2, ...environment } = given;
  return judgeHandOver(
    {
      cli: {
        env: { HOME: at('home'), USERPROFILE: at('home') },
        introspection: { walk: async () => undefined, credentials, workTrees: async () => given.workTrees },
      },
      folders: [at('ws')],
      policy: { readOnly, handOver: lists },
      isAgreed: async ({ subject }) => agreed.includes(subject),
      server: 'https://dstack.example',
      maxUploadBytes,
    },
    {
      file: { realPath: at('ws/run.dstack.yml'), relativePath: 'run.dstack.yml', folder: at('ws') },
      value: { type: 'task', ...value },
      environment: { given: [], inherited: [], ...environment },
    },
  );
};

/** A repository with one more line in its configuration. */
function repository(folder: string, more = ''): void {
  write(`${folder}/.git/HEAD`, 'ref: refs/heads/main\n');
  write(
    `${folder}/.git/config`,
    `[core]\n\tbare = false\n[remote "origin"]\n\turl = https://user:word@git.example/x\n${more}`,
  );
}

test('a configuration alone hands nothing over, and nothing is said', async () => {
  const nothing = {
    warnings: [],
    sends: [],
    hashes: {},
    open: [],
    mustAsk: false,
    credentials: [],
    archives: [],
    sendsLater: [],
  };
  expect(await judge({ commands: ['x'], env: { A: 'b' } })).toEqual(nothing);
  expect(await judge({}, { readOnly: true })).toEqual(nothing);
});

test('files and variables are said, and the content of the folder is bound', async () => {
  const { warnings, hashes } = await judge({ files: ['sub:/x'] }, { inherited: ['HF_TOKEN'] });
  expect(warnings).toEqual([
    'planning sent 2 files (2 bytes) from sub to the dstack server',
    "planning sent the values of HF_TOKEN from this server's environment to the dstack server",
  ]);
  const before = hashes[at('ws/sub')];
  expect(before).toMatch(/^[0-9a-f]{64}$/);
  expect((await judge({ files: ['sub:/y'] })).hashes).toEqual({ [at('ws/sub')]: before });
  utimesSync(at('ws/sub/b/c.txt'), 1, 1);
  expect((await judge({ files: ['sub'] })).hashes[at('ws/sub')]).not.toBe(before);
});

/** The digest that the gate computes from what dstack sends. */
const archiveOf = (files: Readonly<Record<string, string>>): string =>
  sha256(
    Object.entries(files)
      .map(([name, content]) => sha256(`${name}\0${sha256(content)}`))
      .sort()
      .join('\n'),
  );

test('every file is admitted by its name and content, and what a link leads to if dstack sends that', async () => {
  write('ws/other.txt', 'other');
  symlinkSync('a.txt', at('ws/sub/inside'));
  symlinkSync('../other.txt', at('ws/sub/leads-out'));
  symlinkSync(at('ws/sub/b'), at('ws/sub/to-folder'));
  symlinkSync('missing', at('ws/sub/broken'));
  symlinkSync('sub/a.txt', at('ws/to-file'));
  symlinkSync('sub/b', at('ws/folder'));
  const { archives } = await judge({ files: ['sub', 'sub/a.txt', 'to-file', './folder/:/x', 'missing'] });
  expect(archives).toEqual([
    archiveOf({ 'sub/a.txt': 'x', 'sub/b/c.txt': 'x', 'sub/leads-out': 'other' }),
    archiveOf({ 'a.txt': 'x' }),
    archiveOf({ 'to-file': 'x' }),
    archiveOf({ 'folder/c.txt': 'x' }),
    archiveOf({}),
  ]);
});

test('another content of the same size and time is another hash', async () => {
  utimesSync(at('ws/sub/a.txt'), 1, 1);
  const before = await judge({ files: ['sub/a.txt'] });
  write('ws/sub/a.txt', 'y');
  utimesSync(at('ws/sub/a.txt'), 1, 1);
  const after = await judge({ files: ['sub/a.txt'] });
  expect(after.hashes).not.toEqual(before.hashes);
  expect(after.archives).toEqual([archiveOf({ 'a.txt': 'y' })]);
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

test('the private key of a fleet needs consent, in the workspace and outside of it, and is then admitted alone', async () => {
  write('ws/key', 'a key');
  write('home/.ssh/id_rsa', 'a key');
  for (const [file, full] of [
    ['key', at('ws/key')],
    ['~/.ssh/id_rsa', at('home/.ssh/id_rsa')],
  ] as const)
    for (const ssh of [
      { identity_file: file, hosts: [] },
      { hosts: [{ hostname: 'h', identity_file: file }] },
      { hosts: [], proxy_jump: { identity_file: file } },
      { hosts: [{ hostname: 'h', proxy_jump: { identity_file: file } }] },
    ]) {
      const fleet = { type: 'fleet', ssh_config: ssh };
      const asked = await judge(fleet);
      expect(asked).toMatchObject({ mustAsk: true, credentials: [], hashes: { [full]: 'b2' } });
      expect(asked.open).toEqual([
        {
          kind: 'ssh-key',
          subject: full,
          action: `send the private SSH key ${file} to the dstack server https://dstack.example`,
          credentials: ['b2'],
        },
      ]);
      const agreed = await judge(fleet, { agreed: [full] });
      expect(agreed).toMatchObject({ open: [], mustAsk: false, credentials: [{ sha256: 'b2' }] });
      expect(agreed.warnings).toEqual([`planning sent the private SSH key ${file} to the dstack server`]);
    }
});

test('a file in the workspace that is not a private key is not sent as one', async () => {
  write('ws/key', 'text');
  for (const file of ['key', 'missing'])
    expect(await refusal(judge({ type: 'fleet', ssh_config: { identity_file: file, hosts: [] } }))).toMatchObject({
      code: 'invalid-file',
    });
});

test('a local repository is said with the hosts of its remotes, without the password in their URLs', async () => {
  repository('ws/code');
  const { warnings, hashes } = await judge({ repos: ['code'] });
  expect(warnings).toEqual([
    'planning sent the branch, commit and author of the Git repository code to the dstack server',
    'planning sent the Git credentials that dstack finds for git.example to the dstack server',
    'planning contacted git.example',
    'applying sends the uncommitted changes in the Git repository code',
  ]);
  expect(Object.keys(hashes)).toEqual([at('ws/code/.git')]);
  write('ws/code/.git/HEAD', 'ref: refs/heads/other\n');
  expect((await judge({ repos: ['code'] })).hashes).not.toEqual(hashes);
});

test.each([
  [1234, ['1.2 KB of uncommitted changes in the Git repository code']],
  [0, []],
])('the branch of a local repository is said, and %i bytes of uncommitted changes', async (changedBytes, later) => {
  repository('ws/code');
  const workTrees = [{ branch: 'fix/loss', commit: '0123456789abcdef', changedBytes }];
  const { sends, sendsLater, warnings } = await judge({ repos: ['code'] }, { workTrees });
  expect(sends[0]).toBe('the branch fix/loss, its commit 0123456789ab and the author of the Git repository code');
  expect(sendsLater).toEqual(later);
  expect(warnings.filter((line) => line.startsWith('applying'))).toEqual(later.map((what) => `applying sends ${what}`));
});

test('a repository by its URL needs consent, and its credentials are then admitted for it alone', async () => {
  const value = { repos: [{ url: 'https://user:word@any.host/DATA.git' }] };
  const asked = await judge(value);
  expect(asked).toMatchObject({ mustAsk: true, credentials: [] });
  expect(asked.open).toEqual([
    {
      kind: 'repository',
      subject: 'https://any.host/DATA.git',
      action:
        'contact any.host for the Git repository https://any.host/DATA.git and, unless it is public, send the first of these that opens it to the dstack server https://dstack.example: the token in ~/.gh',
      credentials: ['a1'],
    },
  ]);
  const agreed = await judge(value, { agreed: ['https://any.host/DATA.git'] });
  expect(agreed).toMatchObject({
    mustAsk: false,
    open: [],
    credentials: [{ sha256: 'a1', cloneUrls: ['https://any.host/DATA.git'] }],
  });
  expect(agreed.warnings).toEqual([
    'planning sent the Git credentials that dstack finds for any.host to the dstack server',
    'planning contacted any.host',
  ]);
});

test('a URL that no question shows in full is refused', async () => {
  const long = `https://any.host/${'x'.repeat(300)}`;
  expect(await refusal(judge({ repos: [long] }))).toMatchObject({ code: 'invalid-file' });
});

test('a host of the policy is contacted without asking or never, and its credentials stay here until somebody agrees', async () => {
  const value = { repos: ['https://git.example.com/x'] };
  expect(await judge(value, { lists: { hosts: { allow: ['*.example.com'] } } })).toMatchObject({
    mustAsk: false,
    open: [{ subject: 'https://git.example.com/x' }],
    credentials: [],
  });
  const lists = { hosts: { allow: ['*'], never: ['*.example.com'] } };
  expect(await refusal(judge(value, { lists }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('git.example.com'),
  });
});

test('a variable of the policy is sent without asking, or never; others need consent once there is a list', async () => {
  const environment = { inherited: ['HF_TOKEN'], given: ['AWS_SECRET_ACCESS_KEY from .envrc'] };
  expect((await judge({}, environment)).open).toEqual([]);
  const allowed = await judge({}, { ...environment, lists: { env: { allow: ['HF_*'] } } });
  expect(allowed.open.map(({ subject }) => subject)).toEqual(['AWS_SECRET_ACCESS_KEY']);
  expect(allowed.mustAsk).toBe(true);
  expect(await refusal(judge({}, { ...environment, lists: { env: { never: ['AWS_*'] } } }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('AWS_SECRET_ACCESS_KEY'),
  });
});

test('a folder of the policy may be outside of the workspace, or is never read', async () => {
  const allow = { folders: { allow: [at('outside')] } };
  expect((await judge({ files: ['../outside/folder'] }, { lists: allow })).sends).toEqual([
    '0 files (0 bytes) from ../outside/folder',
  ]);
  for (const files of [['sub/b'], ['sub/b/c.txt'], ['.'], ['sub']])
    expect(await refusal(judge({ files }, { lists: { folders: { never: [at('ws/sub/b')] } } }))).toMatchObject({
      code: 'policy',
    });
  expect(
    await refusal(judge({ files: ['~/.ssh'] }, { lists: { folders: { allow: ['~'], never: ['~/.ssh'] } } })),
  ).toMatchObject({ code: 'policy' });
});

test('a long list of paths is refused before any is read, and a list of large folders at the first that is too much', async () => {
  const many = await refusal(judge({ files: Array.from({ length: 101 }, () => at('outside/secret.txt')) }));
  expect(many).toMatchObject({ code: 'invalid-file', message: expect.stringContaining('more than 100 paths') });
  write('ws/sub/large.bin', 'x'.repeat(3000));
  const error = await refusal(judge({ files: ['sub', at('outside/secret.txt')] }, { maxUploadBytes: 2048 }));
  expect(error.untrusted).toContain('large.bin');
});

test('more bytes than the limit are refused, and the error names the largest files', async () => {
  write('ws/sub/large.bin', 'x'.repeat(3000));
  const error = await refusal(judge({ files: ['sub'] }, { maxUploadBytes: 2048 }));
  expect(error).toMatchObject({ code: 'invalid-file', untrusted: expect.stringContaining('large.bin (2.9 KB)') });
  expect(error.message).toContain('2.0 KB');
  expect(error.hint).toContain('DSTACK_MCP_MAX_UPLOAD');
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
  const handOver = { sends: ['2 files (2 bytes) from sub'] };
  const uploaded = { event: 'sent', kind: 'hand-over', path: 'files/upload_archive' } as const;
  expect(reportHandOver(failed, { requests: [uploaded] }, handOver).report.summary).toBe(
    'It failed. Before that, planning sent 2 files (2 bytes) from sub to the dstack server.',
  );
  expect(reportHandOver(failed, { requests: [] }, handOver)).toBe(failed);
  expect(reportHandOver(failed, {}, handOver)).toBe(failed);
});
