import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { agreeing, connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createRecorder } from '../support/call-recorder.ts';
import type { Recorder } from '../support/call-recorder.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { previewAndDelete, until, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
let home: TestHome;
let recorder: Recorder;
let client: TestClient;
const asked: string[] = [];

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  recorder = await createRecorder(home);
  client = await connect({
    env: { ...home.env, DSTACK_MCP_CLI: recorder.cli },
    atEnd,
    person: (message, field) => {
      asked.push(message);
      return agreeing(message, field);
    },
  });
});

test('a finished run is deleted by its file and its typed name, unless the file changed in between', async () => {
  const name = uniqueName('record');
  onTestFinished(() => stopRuns(name));
  const file = await home.write('record.dstack.yml', task(name));
  const flags = { '--max-duration': '2h', '--idle-duration': '5m' };
  const plan = await client.call('plan', { file, flags });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts['outcome'], applied.text).toBe('done');
  // The prompt showed dstack's own text about the file.
  expect(asked.at(-1)).toMatch(/^- --max-duration 2h \(.+\)$/m);
  expect(asked.at(-1)).toMatch(/^- --idle-duration 5m \(.+\)$/m);

  const active = await client.call('delete', { file });
  expect(active.facts).toMatchObject({ outcome: 'blocked' });
  expect(active.facts['token']).toBeUndefined();
  expect(active.facts['summary']).toContain('dstack deletes only finished runs');

  await stopRuns(name);
  await waitForRun(client, name, 'finished');
  const first = await client.call('delete', { file });
  await home.write('record.dstack.yml', task(name, { commands: ['echo other'] }));
  const edited = await client.call('apply', { token: first.facts['token'] });
  expect(edited.facts['code'], edited.text).toBe('plan-changed');

  const preview = await client.call('delete', { file });
  expect(preview.facts).toMatchObject({ outcome: 'done', operation: 'delete', resource: { kind: 'run', name } });
  expect((await client.call('get', { name, type: 'run' })).isError).toBe(false);
  const deleted = await client.call('apply', { token: preview.facts['token'] });
  expect(deleted.facts, deleted.text).toMatchObject({ outcome: 'done', status: 'gone' });
  expect(asked.at(-1)).toContain(`Type the name ${name} to approve.`);
  expect((await recorder.calls()).filter(([command]) => command === 'delete')).toEqual([
    ['delete', '--file', file, '--yes'],
  ]);
  const gone = await client.call('get', { name, type: 'run' });
  expect(gone.facts['code'], gone.text).toBe('not-found');
});

test('another resource is deleted by its file as it is by its kind and name', async () => {
  const name = uniqueName('by-file');
  const file = await home.write('volume.dstack.yml', {
    type: 'volume',
    name,
    backend: 'runpod',
    region: 'EU-RO-1',
    size: '100GB',
  });
  const missing = await client.call('delete', { file });
  expect(missing.facts).toMatchObject({ outcome: 'refused', code: 'invalid-name' });
  const plan = await client.call('plan', { file });
  await client.call('apply', { token: plan.facts['token'] });
  await until(
    () => client.call('get', { name, type: 'volume' }),
    ({ facts }) => facts['status'] === 'active',
  );
  const { preview, deleted } = await previewAndDelete(client, { file });
  expect(preview.facts['summary']).toContain('the data on it is lost');
  expect(deleted.facts['outcome'], deleted.text).toBe('done');
  expect((await recorder.calls()).find((argv) => argv.includes('delete') && argv.includes(name))).toEqual([
    'volume',
    'delete',
    '--yes',
    name,
  ]);
});

test('a file without a name, and a file together with a name, are rejected with the correct arguments', async () => {
  const { name: _name, ...nameless } = task('nameless');
  const file = await home.write('nameless.dstack.yml', nameless);
  expect((await client.call('delete', { file })).facts).toMatchObject({ outcome: 'refused', code: 'invalid-file' });
  const both = await client.call('delete', { file, type: 'fleet', name: 'some-fleet' });
  expect(both.facts).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
  const withToken = await client.call('delete', { file, token: '0000000-0000000-0000000-0000000' });
  expect(withToken.facts).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
});
