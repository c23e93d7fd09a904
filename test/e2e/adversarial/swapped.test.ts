import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import * as z from 'zod';
import { createRestClient } from '../../../sandbox/rest-client.ts';
import { runNames, stopRuns } from '../../support/ask-server.ts';
import { connect } from '../../support/connect.ts';
import type { TestClient } from '../../support/connect.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';

const profiles = (name: string): string =>
  stringify({ profiles: [{ name, default: true, max_duration: name === 'short' ? '1h' : '9h' }] });

/** Creates a home whose dstack replaces a file right before it makes the change. */
async function createSwapping(file: string, content: string): Promise<{ home: TestHome; client: TestClient }> {
  const home = await createTestHome();
  const { cli: real } = inject('sandbox');
  const cli = path.join(home.home, 'dstack');
  const target = path.join(home.workspace, file);
  await mkdir(path.dirname(target), { recursive: true });
  const script = [
    `#!${path.join(path.dirname(real), 'python')}`,
    'import sys',
    'if "--yes" in sys.argv:',
    `    with open(${JSON.stringify(target)}, "w") as swapped:`,
    `        swapped.write(${JSON.stringify(content)})`,
    'from dstack._internal.cli.main import main',
    'sys.exit(main())',
    '',
  ];
  await writeFile(cli, script.join('\n'));
  await chmod(cli, 0o755);
  return { home, client: await connect({ env: { ...home.env, DSTACK_MCP_CLI: cli, DSTACK_MCP_WARM: 'off' } }) };
}

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
  const { home, client } = await createSwapping('swapped.dstack.yml', evil);
  await home.write('swapped.dstack.yml', task(name));
  const plan = await client.call('plan', { file: 'swapped.dstack.yml' });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts['outcome'], applied.text).toBe('done');
  expect(await readFile(path.join(home.workspace, 'swapped.dstack.yml'), 'utf8')).toBe(evil);
  expect(await commandsOf(name)).toEqual(['echo the first line', 'sleep infinity']);
});

test('a profile that is replaced as the command starts: the other specification is not submitted', async () => {
  const name = uniqueName('profile');
  onTestFinished(() => stopRuns(name));
  const { home, client } = await createSwapping('.dstack/profiles.yml', profiles('long'));
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
