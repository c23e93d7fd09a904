import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256 } from '../../../src/core/values.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';

const home = realpathSync(emptyFolder());
const ssh = (name: string): string => path.join(home, '.ssh', name);
const digestOf = (name: string): string => sha256(readFileSync(ssh(name), 'utf8'));
const gh = path.join(home, '.config', 'gh', 'hosts.yml');
let runner: WarmRunner;

beforeAll(async () => {
  for (const folder of [path.dirname(gh), ssh('')]) mkdirSync(folder, { recursive: true });
  for (const [name, ...options] of [
    ['id_rsa', '-t', 'rsa', '-m', 'PEM'],
    ['deploy', '-t', 'ed25519'],
    ['odd', '-t', 'ed25519'],
  ] as const)
    await execa('ssh-keygen', ['-q', '-N', '', ...options, '-f', ssh(name)]);
  writeFileSync(ssh('odd.pub'), 'a secret of somebody\n');
  writeFileSync(ssh('text'), 'no key\n');
  writeFileSync(ssh('config'), 'Host alias\n  HostName git.example\n  IdentityFile ~/.ssh/deploy\n');
  writeFileSync(gh, 'github.com:\n  oauth_token: gho_abc\n');
  const env = { PATH: process.env['PATH'] ?? '', HOME: home };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
});
afterAll(() => runner.close());

const ask = (repositories: readonly string[], keys: readonly string[] = []) =>
  runner.introspection.credentials({ repositories, keys });

test('the credentials of a repository are those that dstack would try for it, by their hash alone', async () => {
  const repositories = ['https://u:p@github.com/o/r.git', 'ssh://git@alias/o/r', 'git@github.com:o/r'];
  const found = await ask(repositories);
  const token = { kind: 'token', path: gh, sha256: sha256('gho_abc') };
  const rsa = { kind: 'key', path: ssh('id_rsa'), sha256: digestOf('id_rsa') };
  const deploy = { kind: 'key', path: ssh('deploy'), sha256: digestOf('deploy') };
  expect(found?.repositories).toEqual([
    {
      host: 'github.com',
      url: 'https://github.com/o/r.git',
      cloneUrls: ['https://github.com/o/r.git', 'ssh://git@github.com/o/r.git'],
      credentials: [token, rsa],
    },
    {
      host: 'git.example',
      url: 'https://git.example/o/r',
      cloneUrls: ['https://git.example/o/r', 'ssh://git@git.example/o/r'],
      credentials: [deploy, rsa],
    },
    {
      host: 'github.com',
      url: 'https://github.com/o/r',
      cloneUrls: ['https://github.com/o/r', 'ssh://git@github.com/o/r'],
      credentials: [token, rsa],
    },
  ]);
  expect(JSON.stringify(found)).not.toMatch(/gho_abc|PRIVATE KEY/);
});

test('a URL that dstack rejects has no answer', async () => {
  expect(await ask(['/a/path', 'file:///x', 'http://h/x', 'ext::sh -c x'])).toEqual({
    repositories: [null, null, null, null],
    keys: [],
  });
});

test('the key of a fleet is what dstack would send, and any other file has no answer', async () => {
  const keys = ['id_rsa', 'deploy', 'text', 'missing', 'odd'].map(ssh);
  expect((await ask([], keys))?.keys).toEqual([digestOf('id_rsa'), digestOf('deploy'), null, null, null]);
});
