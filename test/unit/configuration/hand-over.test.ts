import { expect, test } from 'vitest';
import { namedVariables } from '../../../src/configuration/env-files.ts';
import { describeAccess, listHandOver } from '../../../src/configuration/hand-over.ts';

const pathsOf = (value: Readonly<Record<string, unknown>>) =>
  listHandOver(value).paths.map(({ property, path, kind }) => [property, path, kind]);

test('a configuration without such properties hands nothing over', () => {
  const value = {
    type: 'task',
    commands: ['cat /etc/passwd'],
    env: { A: 'b' },
    volumes: ['/a:/b'],
    registry_auth: null,
  };
  expect(listHandOver(value)).toEqual({ paths: [], remotes: [], hasRegistryPassword: false });
});

test.each([
  ['a.txt', 'a.txt'],
  ['.', '.'],
  ['/anywhere/secret.txt:/x', '/anywhere/secret.txt'],
  ['~/.ssh', '~/.ssh'],
  ['~/.ssh:keys', '~/.ssh'],
  ['../../x', '../../x'],
  ['C:/a/b:/c', 'C:/a/b'],
  [String.raw`c:\a:/c`, String.raw`c:\a`],
  ['a:b:c', 'a'],
  [7, '7'],
  [{ local_path: '/etc/passwd', path: '/x' }, '/etc/passwd'],
])('%j in files is the local path %s', (item, path) => {
  expect(pathsOf({ files: [item] })).toEqual([['files[0]', path, 'files']]);
});

test('files that are not a list, and files without a local path, are read as far as possible', () => {
  expect(pathsOf({ files: 'a:b' })).toEqual([['files[0]', 'a', 'files']]);
  expect(pathsOf({ files: [{ path: '/x' }, null, true] })).toEqual([]);
});

test.each([
  ['.', '.'],
  ['/other/repo', '/other/repo'],
  ['/other/repo:/x', '/other/repo'],
  ['../x:y', '../x'],
  ['C:/a:/b', 'C:/a'],
  [{ local_path: '~/code' }, '~/code'],
  [{ local_path: 'https://host/x' }, 'https://host/x'],
])('%j in repos is the local repository %s', (item, path) => {
  expect(pathsOf({ repos: [item] })).toEqual([['repos[0]', path, 'repository']]);
});

test.each([
  ['https://any.host/DATA.git', 'https://any.host/DATA.git'],
  [{ url: 'https://user:password@any.host/DATA.git' }, 'https://user:password@any.host/DATA.git'],
  ['ssh://git@some.host/x', 'ssh://git@some.host/x'],
  ['git@github.com:a/b', 'git@github.com:a/b'],
  ['git@github.com:a/b:path', 'git@github.com:a/b'],
  [{ url: 'ssh://git@some.host:22/x' }, 'ssh://git@some.host:22/x'],
  [{ url: 'no-url' }, 'no-url'],
])('%j in repos is the remote %s', (item, url) => {
  expect(listHandOver({ repos: [item] })).toMatchObject({ paths: [], remotes: [url] });
});

test('every private key of an SSH fleet is listed', () => {
  const proxy = { hostname: 'p', user: 'u', identity_file: '~/.ssh/proxy' };
  const hosts = ['plain', { hostname: 'h', identity_file: 'host-key', proxy_jump: { ...proxy, identity_file: '/k' } }];
  expect(
    pathsOf({ type: 'fleet', ssh_config: { user: 'u', identity_file: '~/.ssh/id_rsa', proxy_jump: proxy, hosts } }),
  ).toEqual([
    ['ssh_config.identity_file', '~/.ssh/id_rsa', 'private-key'],
    ['ssh_config.proxy_jump.identity_file', '~/.ssh/proxy', 'private-key'],
    ['ssh_config.hosts[1].identity_file', 'host-key', 'private-key'],
    ['ssh_config.hosts[1].proxy_jump.identity_file', '/k', 'private-key'],
  ]);
});

test.each([
  ['hunter2', true],
  [1234, true],
  ['a${{ secrets.token }}', true],
  ['${{ secrets.token }}', false],
])('the registry password %j is a credential: %s', (password, expected) => {
  expect(listHandOver({ registry_auth: { username: 'me', password } }).hasRegistryPassword).toBe(expected);
});

test('a variable that takes its value from another one counts as that other one', () => {
  expect(namedVariables({ env: { A: { key: 'AWS_SECRET_ACCESS_KEY' }, B: 'x', C: { key: 7 } } })).toEqual([
    'AWS_SECRET_ACCESS_KEY',
  ]);
});

const said = (value: Readonly<Record<string, unknown>>): string =>
  describeAccess({ type: 'task', ...value }).says.join('\n');

test('a plain task opens nothing', () => {
  const closed = { dstack: false, privileged: 'no', docker: null, volumes: ['data:/data'], ports: [] };
  for (const value of [{}, closed])
    expect(describeAccess({ type: 'task', ...value })).toEqual({ says: [], reachesServer: false });
});

test.each<[string, Readonly<Record<string, unknown>>, string]>([
  ['dstack: true', { dstack: true }, 'the run can reach the dstack server (`dstack: true`)'],
  ['a word that dstack reads as true', { dstack: 'yes' }, 'the run can reach the dstack server'],
  ['the token of the user', { env: ['DSTACK_TOKEN'] }, 'the run gets the token of this user'],
  ['the token with a value, as a run shows it', { env: { DSTACK_TOKEN: 'x' } }, 'the run gets the token of this user'],
  ['the token from a secret', { env: ['DSTACK_TOKEN=${{ secrets.tok }}'] }, 'the run gets the token of this user'],
  ['the token in a group', { replicas: [{ env: { DSTACK_TOKEN: 'x' } }] }, 'the run gets the token of this user'],
  ['the token under another name', { env: { A: { key: 'DSTACK_TOKEN' } } }, 'the run gets the token of this user'],
  ['privileged', { privileged: true }, 'the container is privileged'],
  ['privileged in a group of a service', { replicas: [{ privileged: true }] }, 'the container is privileged'],
  ['docker: true', { docker: true }, 'starts other containers with Docker'],
  ['docker: true in a group', { groups: [{ docker: true }] }, 'starts other containers with Docker'],
  [
    'an instance volume',
    { volumes: ['/root/.cache:/cache', 'data:/d'] },
    'can read and write /root/.cache on its machine',
  ],
  [
    'an instance volume as a mapping',
    { volumes: [{ instance_path: '/mnt', path: '/x' }] },
    'can read and write /mnt on its machine',
  ],
  [
    'ports',
    { ports: [8000, '80:8080', { local_port: 1, container_port: 2 }] },
    'opens its port 8000 on this computer\nattaching to the run opens its port 80:8080 on',
  ],
  ['a service', { type: 'service', port: 8000 }, 'published on its port 8000 for users of the project'],
  ['a service for everybody', { type: 'service', port: '80:8000', auth: false }, 'anyone who knows its address'],
])('%s is named as what it is', (_what, value, text) => {
  expect(said(value)).toContain(text);
});

test('only `dstack`, or the token, reaches the server', () => {
  expect(describeAccess({ dstack: true }).reachesServer).toBe(true);
  expect(describeAccess({ env: { DSTACK_TOKEN: null } }).reachesServer).toBe(true);
  expect(describeAccess({ env: { OTHER: 'DSTACK_TOKEN', MY_DSTACK_TOKEN: 'x' } }).reachesServer).toBe(false);
  expect(describeAccess({ privileged: true, docker: true }).reachesServer).toBe(false);
});

test.each(['DSTACK_TOKEN', 'DSTACK_TOKEN=x'])('the token in a flag counts, too: --env %s', (flag) => {
  for (const flags of [flag, ['A=1', flag]])
    expect(describeAccess({ type: 'task' }, flags)).toEqual({
      says: [expect.stringContaining('the run gets the token of this user')],
      reachesServer: true,
    });
});
