import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readDstackConfig } from '../../../../src/dstack/client/read-dstack-config.ts';

/** A home folder with this as the CLI's configuration. */
async function homeWith(config: string | undefined): Promise<string> {
  const home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-config-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  if (config !== undefined) {
    await mkdir(path.join(home, '.dstack'));
    await writeFile(path.join(home, '.dstack', 'config.yml'), config);
  }
  return home;
}

const TWO = `
projects:
- name: lab
  url: http://lab.example
  token: lab-token
- name: main
  url: http://main.example
  token: main-token
  default: true
repos: []
`;

test('projects, their secrets and the default project are read', async () => {
  expect(await readDstackConfig({}, await homeWith(TWO))).toEqual({
    defaultProject: 'main',
    projects: [
      { name: 'lab', url: 'http://lab.example' },
      { name: 'main', url: 'http://main.example' },
    ],
    secrets: ['lab-token', 'main-token'],
    tokenFor: expect.any(Function),
  });
});

test("dstack's own variables take precedence over the file", async () => {
  const env = { DSTACK_SERVER_URL: 'http://env.example', DSTACK_TOKEN: 'env-token' };
  const home = await homeWith(TWO);
  expect(await readDstackConfig(env, home)).toMatchObject({
    defaultProject: 'main',
    projects: [{ name: 'main', url: 'http://env.example' }, { name: 'lab' }, { name: 'main' }],
    secrets: ['env-token', 'lab-token', 'main-token'],
  });
  expect(await readDstackConfig({ ...env, DSTACK_PROJECT: 'own' }, home)).toMatchObject({
    defaultProject: 'own',
    projects: [{ name: 'own', url: 'http://env.example' }, { name: 'lab' }, { name: 'main' }],
  });
  expect((await readDstackConfig({ DSTACK_PROJECT: 'lab' }, home)).defaultProject).toBe('lab');
  expect((await readDstackConfig({ DSTACK_PROJECT: '' }, home)).defaultProject).toBe('main');
});

test('a token is that of the named project, and shows in nothing that is printed', async () => {
  const read = await readDstackConfig({}, await homeWith(TWO));
  expect([read.tokenFor('lab'), read.tokenFor('main'), read.tokenFor('other')]).toEqual([
    'lab-token',
    'main-token',
    undefined,
  ]);
  expect(JSON.stringify({ ...read, secrets: [] })).not.toContain('-token');
  const withServer = { DSTACK_SERVER_URL: 'http://env.example', DSTACK_TOKEN: 'env-token' };
  expect((await readDstackConfig(withServer, await homeWith(TWO))).tokenFor('lab')).toBe('env-token');
  // The CLI doesn't use that server without a token either.
  const withoutToken = { DSTACK_SERVER_URL: 'http://env.example' };
  expect((await readDstackConfig(withoutToken, await homeWith(TWO))).tokenFor('main')).toBeUndefined();
});

test('a token in the environment is a secret even without a server URL', async () => {
  const read = await readDstackConfig({ DSTACK_TOKEN: 'env-token' }, await homeWith('projects:\n- name: bare\n'));
  expect(read).toEqual({
    defaultProject: undefined,
    projects: [{ name: 'bare', url: undefined }],
    secrets: ['env-token'],
    tokenFor: expect.any(Function),
  });
  expect(read.tokenFor('bare')).toBe('env-token');
});

test.each(['yes', 'on', '1', '"true"', 'True', 'y'])('default: %s is true, as for dstack', async (word) => {
  const config = TWO.replace('default: true', `default: ${word}`);
  expect(await readDstackConfig({}, await homeWith(config))).toMatchObject({
    defaultProject: 'main',
    secrets: expect.arrayContaining(['lab-token', 'main-token']),
  });
});

test.each([
  ['a name that looks like a number', 'projects:\n- {name: 2e10, url: http://x, token: the-token}\n', ['2e10']],
  ['a key that occurs twice', `${TWO}projects:\n- {name: a, url: http://x, token: the-token}\n`, ['a']],
  [
    'a value of another kind',
    TWO.replace('repos: []', '- {name: b, url: [http://x], token: the-token, default: {}}'),
    ['lab', 'main', 'b'],
  ],
  ['an anchor', 'base: &a {url: http://x, token: the-token}\nprojects:\n- {<<: *a, name: c}\n', ['c']],
])('with %s, no other project and no token is lost', async (_what, config, names) => {
  const read = await readDstackConfig({}, await homeWith(config));
  expect(read.projects.map(({ name }) => name)).toEqual(names);
  expect(read.secrets).toContain('the-token');
});

test('the tokens of a file that is not valid YAML are secrets', async () => {
  const { projects, secrets } = await readDstackConfig({}, await homeWith(`${TWO}\n  - [\n`));
  expect(projects).toEqual([]);
  expect(secrets).toEqual(['lab-token', 'main-token']);
});

test.each([
  ['no file', undefined],
  ['an empty file', ''],
  ['an empty list', 'projects:\n'],
  ['invalid YAML', 'projects: [\n'],
  ['another value', 'projects: 7\n'],
  ['a project without a name', 'projects:\n- url: http://x\n'],
])('with %s, no project is known', async (_why, config) => {
  expect(await readDstackConfig({}, await homeWith(config))).toEqual({
    defaultProject: undefined,
    projects: [],
    secrets: [],
    tokenFor: expect.any(Function),
  });
});
