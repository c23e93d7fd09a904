import { chmod, mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import * as z from 'zod';
import { createRestClient } from '../../../sandbox/rest-client.ts';
import { runNames, stopRuns } from '../../support/ask-server.ts';
import { connect } from '../../support/connect.ts';
import { createFaultyCli } from '../../support/faulty-cli.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import type { TestClient } from '../../support/connect.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';

const profiles = (name: string): string =>
  stringify({ profiles: [{ name, default: true, max_duration: name === 'short' ? '1h' : '9h' }] });

/** Creates a home whose dstack runs Python code right before it works on a command with this word. */
async function createSwapping(
  word: '--yes' | 'apply',
  swap: (home: TestHome) => readonly string[],
  url = inject('sandbox').url,
): Promise<{ home: TestHome; client: TestClient }> {
  const home = await createTestHome({ url });
  const { cli, breakWith } = await createFaultyCli(home);
  await breakWith({ words: [word], python: swap(home) });
  return { home, client: await connect({ env: { ...home.env, DSTACK_MCP_CLI: cli, DSTACK_MCP_WARM: 'off' } }) };
}

const overwrite =
  (file: string, content: string) =>
  ({ workspace }: TestHome): readonly string[] => [
    `open(${JSON.stringify(path.join(workspace, file))}, "w").write(${JSON.stringify(content)})`,
  ];

const submitted = z.looseObject({
  run_spec: z.looseObject({ configuration: z.looseObject({ commands: z.array(z.string()) }) }),
});

async function commandsOf(run: string): Promise<readonly string[]> {
  const { url, token } = inject('sandbox');
  const found = await createRestClient(url, token)('/api/project/main/runs/get', { run_name: run });
  return submitted.parse(found).run_spec.configuration.commands;
}

test('a configuration that is replaced as the command starts: the approved one is applied', async () => {
  const name = uniqueName('swapped');
  onTestFinished(() => stopRuns(name));
  const evil = stringify(task(name, { commands: ['echo swapped', 'sleep infinity'] }));
  const { home, client } = await createSwapping('--yes', overwrite('swapped.dstack.yml', evil));
  await home.write('swapped.dstack.yml', task(name));
  const plan = await client.call('plan', { file: 'swapped.dstack.yml' });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts['outcome'], applied.text).toBe('done');
  expect(await readFile(path.join(home.workspace, 'swapped.dstack.yml'), 'utf8')).toBe(evil);
  expect(await commandsOf(name)).toEqual(['echo the first line', 'sleep infinity']);
});

test('an executable that leads to no Python script is never started on a file, which could be replaced by then', async () => {
  const server = await startFaultyServer(inject('sandbox').url);
  const home = await createTestHome({ url: server.url });
  const name = uniqueName('wrapped');
  onTestFinished(() => stopRuns(name));
  const cli = path.join(home.home, 'dstack');
  const file = path.join(home.workspace, 'wrapped.dstack.yml');
  // Only running it shows what it runs.
  const script = `#!/bin/sh\nif [ "$1" = apply ]; then echo swapped > '${file}'; fi\nreal=$(echo '${inject('sandbox').cli}')\nexec "$real" "$@"\n`;
  await writeFile(cli, script);
  await chmod(cli, 0o755);
  const client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: cli } });
  await home.write('wrapped.dstack.yml', task(name));
  for (const [tool, input] of [
    ['plan', { file: 'wrapped.dstack.yml' }],
    ['delete', { file: 'wrapped.dstack.yml' }],
  ] as const) {
    const { facts, text } = await client.call(tool, input);
    expect(facts, text).toMatchObject({ outcome: 'failed', code: 'cli-not-understood' });
    expect(text).toMatch(/isn't a Python script.*[^]*doctor.*DSTACK_MCP_CLI/);
  }
  expect(await readFile(file, 'utf8')).toContain(name);
  expect((await client.call('ps')).facts['outcome']).toBe('done');
  expect(server.seen.map((one) => one.path)).not.toContainEqual(expect.stringMatching(/get_plan|apply/));
});

test('a workspace that is moved before dstack reads it: another file of the same name is not planned', async () => {
  const server = await startFaultyServer(inject('sandbox').url);
  const name = uniqueName('moved');
  const evil = stringify(task(name, { commands: ['echo swapped'] }));
  const move = ({ workspace }: TestHome): readonly string[] => [
    `os.rename(${JSON.stringify(workspace)}, ${JSON.stringify(`${workspace}-before`)})`,
    `open("moved.dstack.yml", "w").write(${JSON.stringify(evil)})`,
  ];
  const { home, client } = await createSwapping('apply', move, server.url);
  await home.write('moved.dstack.yml', task(name));
  const plan = await client.call('plan', { file: 'moved.dstack.yml' });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'blocked', code: 'files-changed' });
  expect(server.received()).not.toContain('echo swapped');
});

test('a profile that is replaced as the command starts: the other specification is not submitted', async () => {
  const name = uniqueName('profile');
  onTestFinished(() => stopRuns(name));
  const { home, client } = await createSwapping('--yes', overwrite('.dstack/profiles.yml', profiles('long')));
  await mkdir(path.join(home.workspace, '.dstack'));
  await writeFile(path.join(home.workspace, '.dstack', 'profiles.yml'), profiles('short'));
  await home.write('profile.dstack.yml', task(name));
  const plan = await client.call('plan', { file: 'profile.dstack.yml' });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts, applied.text).toMatchObject({ outcome: 'refused', code: 'plan-changed' });
  expect(applied.facts['summary']).toContain('dstack would send another request than before');
  expect(await runNames()).not.toContain(name);
  const log = await readFile(path.join(home.stateDir, 'audit', 'audit.jsonl'), 'utf8');
  expect(JSON.parse(log.trim().split('\n').at(-1) ?? '')).toMatchObject({ event: 'refused' });
});

// Of the same length and with the same times: only the content tells the difference.
const SECRET = 'never sent';

test.each([
  [
    'a link to another file',
    (file: string, secret: string) => [`os.remove(${file})`, `os.symlink(${secret}, ${file})`],
  ],
  ['another text', (file: string) => [`open(${file}, "w").write(${JSON.stringify(SECRET)})`]],
  [
    'a folder that is a link',
    (file: string, secret: string) => [
      `folder = os.path.dirname(${file})`,
      'os.rename(folder, folder + "-before")',
      `os.symlink(os.path.dirname(${secret}), folder)`,
    ],
  ],
])('a file that is replaced by %s before dstack reads it: no plan sends it', async (_what, swap) => {
  const server = await startFaultyServer(inject('sandbox').url);
  const { home, client } = await createSwapping(
    'apply',
    ({ workspace, home: folder }) => {
      const file = path.join(workspace, 'data', 'data.txt');
      const secret = path.join(folder, 'data.txt');
      const times = `os.utime(${JSON.stringify(file)}, (1e9, 1e9))`;
      return [...swap(JSON.stringify(file), JSON.stringify(secret)), times];
    },
    server.url,
  );
  const file = path.join(home.workspace, 'data', 'data.txt');
  await mkdir(path.dirname(file));
  await writeFile(file, 'to be sent');
  await writeFile(path.join(home.home, 'data.txt'), SECRET);
  for (const one of [file, path.join(home.home, 'data.txt')]) await utimes(one, 1e9, 1e9);
  const name = uniqueName('files');
  await home.write('files.dstack.yml', task(name, { files: ['data'] }));
  const plan = await client.call('plan', { file: 'files.dstack.yml' });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'blocked', code: 'files-changed' });
  expect(plan.facts['token']).toBeUndefined();
  expect(server.seen.map((one) => one.path).filter((one) => one.endsWith('/upload_archive'))).toEqual([]);
  expect(server.received()).not.toContain(SECRET);
});

test('a file that is replaced as the approved command starts: nothing is sent or submitted', async () => {
  const server = await startFaultyServer(inject('sandbox').url);
  const { home, client } = await createSwapping('--yes', overwrite('data.txt', SECRET), server.url);
  await writeFile(path.join(home.workspace, 'data.txt'), 'to be sent');
  const name = uniqueName('files');
  await home.write('files.dstack.yml', task(name, { files: ['data.txt'] }));
  const plan = await client.call('plan', { file: 'files.dstack.yml' });
  expect(plan.facts['outcome'], plan.text).toBe('done');
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts, applied.text).toMatchObject({ outcome: 'blocked', code: 'files-changed' });
  expect(server.received()).not.toContain(SECRET);
  expect(await runNames()).not.toContain(name);
});

test('a profile that was edited or created between plan and apply: nothing is submitted', async () => {
  const name = uniqueName('edited');
  const home = await createTestHome();
  const client = await connect({ env: home.env });
  await home.write('edited.dstack.yml', task(name));
  await mkdir(path.join(home.workspace, '.dstack'));
  for (const profile of ['short', 'long']) {
    const plan = await client.call('plan', { file: 'edited.dstack.yml' });
    await writeFile(path.join(home.workspace, '.dstack', 'profiles.yml'), profiles(profile));
    const refused = await client.call('apply', { token: plan.facts['token'] });
    expect(refused.facts['code'], refused.text).toBe('plan-changed');
    expect(refused.facts['summary']).toMatch(/profiles\.yml (was edited|has appeared)/);
  }
  expect(await runNames()).not.toContain(name);
});
