import { chmod, mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import * as z from 'zod';
import { createRestClient } from '../../../sandbox/rest-client.ts';
import { runNames, stopRuns } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import { createFaultyCli } from '../../support/faulty-cli.ts';
import type { FaultyCli } from '../../support/faulty-cli.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import type { FaultyServer } from '../../support/faulty-server.ts';
import type { TestClient } from '../../support/connect.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';

const profiles = (name: string): string =>
  stringify({ profiles: [{ name, default: true, max_duration: name === 'short' ? '1h' : '9h' }] });

const atEnd = collectEnds(afterAll);
let server: FaultyServer;
let home: TestHome;
let faulty: FaultyCli;
/** Starts a process for each command, in which something is swapped. */
let plain: TestClient;
/** Another server of the same user, in whose worker nothing is swapped. */
let warm: TestClient;

beforeAll(async () => {
  server = await startFaultyServer(inject('sandbox').url, atEnd);
  home = await createTestHome({ url: server.url, atEnd });
  faulty = await createFaultyCli(home);
  const env = { ...home.env, DSTACK_MCP_CLI: faulty.cli };
  plain = await connect({ env: { ...env, DSTACK_MCP_WARM: 'off' }, atEnd });
  warm = await connect({ env, atEnd });
});
beforeEach(async () => {
  await rm(home.workspace, { recursive: true });
  await mkdir(home.workspace);
});

/** Makes plain processes run Python code right before they work on a command with this word. */
const swapAt = (word: '--yes' | 'apply', python: readonly string[]): Promise<void> =>
  faulty.breakWith({ words: [word], python });

const overwrite = (file: string, content: string): readonly string[] => [
  `open(${JSON.stringify(path.join(home.workspace, file))}, "w").write(${JSON.stringify(content)})`,
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
  await swapAt('--yes', overwrite('swapped.dstack.yml', evil));
  await home.write('swapped.dstack.yml', task(name));
  const plan = await warm.call('plan', { file: 'swapped.dstack.yml' });
  const applied = await plain.call('apply', { token: plan.facts['token'] });
  expect(applied.facts['outcome'], applied.text).toBe('done');
  expect(await readFile(path.join(home.workspace, 'swapped.dstack.yml'), 'utf8')).toBe(evil);
  expect(await commandsOf(name)).toEqual(['echo the first line', 'sleep infinity']);
});

test('an executable that leads to no Python script is never started on a file, which could be replaced by then', async () => {
  const own = await createTestHome({ url: server.url });
  const before = server.seen.length;
  const name = uniqueName('wrapped');
  onTestFinished(() => stopRuns(name));
  const cli = path.join(own.home, 'dstack');
  const file = path.join(own.workspace, 'wrapped.dstack.yml');
  // Only running it shows what it runs.
  const script = `#!/bin/sh\nif [ "$1" = apply ]; then echo swapped > '${file}'; fi\nreal=$(echo '${inject('sandbox').cli}')\nexec "$real" "$@"\n`;
  await writeFile(cli, script);
  await chmod(cli, 0o755);
  const client = await connect({ env: { ...own.env, DSTACK_MCP_CLI: cli } });
  await own.write('wrapped.dstack.yml', task(name));
  for (const [tool, input] of [
    ['plan', { file: 'wrapped.dstack.yml' }],
    ['delete', { file: 'wrapped.dstack.yml' }],
  ] as const) {
    const { facts, text } = await client.call(tool, input);
    expect(facts, text).toMatchObject({ outcome: 'failed', code: 'cli-not-understood' });
    expect(text).toMatch(/isn't a Python script.*[^]*doctor.*DSTACK_MCP_CLI/);
  }
  expect(await readFile(file, 'utf8')).toContain(name);
  expect(server.seen.slice(before).map((one) => one.path)).not.toContainEqual(expect.stringMatching(/get_plan|apply/));
});

test('a workspace that is moved before dstack reads it: another file of the same name is not planned', async () => {
  const moved = `${home.workspace}-before`;
  await swapAt('apply', [
    `os.rename(${JSON.stringify(home.workspace)}, ${JSON.stringify(moved)})`,
    `open("moved.dstack.yml", "w").write(${JSON.stringify(stringify(task('evil', { commands: ['echo swapped'] })))})`,
  ]);
  onTestFinished(() => rename(moved, home.workspace));
  await home.write('moved.dstack.yml', task(uniqueName('moved')));
  const plan = await plain.call('plan', { file: 'moved.dstack.yml' });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'blocked', code: 'files-changed' });
  expect(server.received()).not.toContain('echo swapped');
});

test('a profile that is replaced as the command starts: the other specification is not submitted', async () => {
  const name = uniqueName('profile');
  onTestFinished(() => stopRuns(name));
  await swapAt('--yes', overwrite('.dstack/profiles.yml', profiles('long')));
  await mkdir(path.join(home.workspace, '.dstack'));
  await writeFile(path.join(home.workspace, '.dstack', 'profiles.yml'), profiles('short'));
  await home.write('profile.dstack.yml', task(name));
  const plan = await warm.call('plan', { file: 'profile.dstack.yml' });
  const applied = await plain.call('apply', { token: plan.facts['token'] });
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
  const file = path.join(home.workspace, 'data', 'data.txt');
  const secret = path.join(home.home, 'data.txt');
  const times = `os.utime(${JSON.stringify(file)}, (1e9, 1e9))`;
  await swapAt('apply', [...swap(JSON.stringify(file), JSON.stringify(secret)), times]);
  await mkdir(path.dirname(file));
  await writeFile(file, 'to be sent');
  await writeFile(secret, SECRET);
  for (const one of [file, secret]) await utimes(one, 1e9, 1e9);
  await home.write('files.dstack.yml', task(uniqueName('files'), { files: ['data'] }));
  const before = server.seen.length;
  const plan = await plain.call('plan', { file: 'files.dstack.yml' });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'blocked', code: 'files-changed' });
  expect(plan.facts['token']).toBeUndefined();
  const asked = server.seen.slice(before).map((one) => one.path);
  expect(asked.filter((one) => one.endsWith('/upload_archive'))).toEqual([]);
  expect(server.received()).not.toContain(SECRET);
});

test('a file that is replaced as the approved command starts: nothing is sent or submitted', async () => {
  await swapAt('--yes', overwrite('data.txt', SECRET));
  await writeFile(path.join(home.workspace, 'data.txt'), 'to be sent');
  const name = uniqueName('files');
  await home.write('files.dstack.yml', task(name, { files: ['data.txt'] }));
  const plan = await warm.call('plan', { file: 'files.dstack.yml' });
  expect(plan.facts['outcome'], plan.text).toBe('done');
  const applied = await plain.call('apply', { token: plan.facts['token'] });
  expect(applied.facts, applied.text).toMatchObject({ outcome: 'blocked', code: 'files-changed' });
  expect(server.received()).not.toContain(SECRET);
  expect(await runNames()).not.toContain(name);
});

test('a profile that was edited or created between plan and apply: nothing is submitted', async () => {
  const name = uniqueName('edited');
  await home.write('edited.dstack.yml', task(name));
  await mkdir(path.join(home.workspace, '.dstack'));
  for (const profile of ['short', 'long']) {
    const plan = await warm.call('plan', { file: 'edited.dstack.yml' });
    await writeFile(path.join(home.workspace, '.dstack', 'profiles.yml'), profiles(profile));
    const refused = await warm.call('apply', { token: plan.facts['token'] });
    expect(refused.facts['code'], refused.text).toBe('plan-changed');
    expect(refused.facts['summary']).toMatch(/profiles\.yml (was edited|has appeared)/);
  }
  expect(await runNames()).not.toContain(name);
});
