import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import { createTestHome, task } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';

const atEnd = collectEnds(afterAll);
let home: TestHome;
let env: Readonly<Record<string, string>>;
/** Two projects, outside of the home folder. */
const projects: string[] = [];

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  env = { ...home.env, DSTACK_MCP_WORKSPACE: '', DSTACK_MCP_WARM: 'off' };
  for (const name of ['first', 'second']) {
    const folder = await realpath(await mkdtemp(path.join(tmpdir(), `roots-${name}-`)));
    atEnd(() => rm(folder, { recursive: true, force: true }));
    projects.push(folder);
    await writeFile(path.join(folder, `${name}.dstack.yml`), JSON.stringify(task(name)));
  }
});

const uriOf = (folder = ''): string => pathToFileURL(folder).href;

describe.each(CLIENTS)('with the %s', (kind) => {
  test('the client’s roots are the workspace, also after they have changed', async () => {
    let roots = [uriOf(projects[0])];
    const client = await connect({ env, kind, roots: () => roots });
    const read = (file: string) => client.call('config', { action: 'read', file });
    expect((await read('first.dstack.yml')).text).toContain('first');
    expect((await read('second.dstack.yml')).facts).toMatchObject({ code: 'file-not-found' });
    expect((await read(`${projects[1]}/second.dstack.yml`)).facts).toMatchObject({ code: 'outside-workspace' });
    roots = [uriOf(projects[1]), 'file://%'];
    expect((await read('second.dstack.yml')).text).toContain('second');
    expect((await read(`${projects[0]}/first.dstack.yml`)).facts).toMatchObject({ code: 'outside-workspace' });
    // Without a root, the working directory is the workspace.
    roots = [];
    expect((await read(`${projects[1]}/second.dstack.yml`)).facts).toMatchObject({ code: 'outside-workspace' });
  });
});

test('a home folder as root is not a project: its folder dstack is', async () => {
  await mkdir(path.join(home.home, 'dstack'), { recursive: true });
  await writeFile(path.join(home.home, 'dstack', 'here.dstack.yml'), JSON.stringify(task('here')));
  await writeFile(path.join(home.home, 'there.dstack.yml'), JSON.stringify(task('there')));
  const client = await connect({ env, roots: () => [uriOf(home.home)] });
  expect((await client.call('config', { action: 'read', file: 'here.dstack.yml' })).isError).toBe(false);
  const outside = await client.call('config', { action: 'read', file: path.join(home.home, 'there.dstack.yml') });
  expect(outside.facts).toMatchObject({ code: 'outside-workspace' });
});

test('a workspace that the operator has set stays the workspace', async () => {
  let asked = 0;
  const roots = (): string[] => {
    asked += 1;
    return [uriOf(projects[0])];
  };
  const client = await connect({ env: home.env, roots });
  const refused = await client.call('config', { action: 'read', file: `${projects[0]}/first.dstack.yml` });
  expect(refused.facts).toMatchObject({ code: 'outside-workspace' });
  expect(asked).toBe(0);
});
