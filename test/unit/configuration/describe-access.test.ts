import { expect, test } from 'vitest';
import { describeAccess } from '../../../src/configuration/describe-access.ts';

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
  ['an instance volume', { volumes: ['/root/.cache:/cache', 'data:/d'] }, 'on its machine: /root/.cache'],
  ['an instance volume as a mapping', { volumes: [{ instance_path: '/mnt', path: '/x' }] }, 'on its machine: /mnt'],
  ['ports', { ports: [8000, '80:8080', { local_port: 1, container_port: 2 }] }, 'on this computer: 8000, 80:8080, 1:2'],
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
