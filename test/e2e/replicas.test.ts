import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectChangeClient } from '../support/change-client.ts';
import type { ChangeClient } from '../support/change-client.ts';
import { collectEnds } from '../support/collect-ends.ts';
import type { TestClient } from '../support/connect.ts';
import { uniqueName } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
let changes: ChangeClient;
let client: TestClient;

beforeAll(async () => {
  changes = await connectChangeClient(atEnd);
  ({ client } = changes);
});

const service = (name: string, version: string) => ({
  type: 'service',
  name,
  port: 8000,
  replicas: 2,
  commands: [`echo "${version} on replica $DSTACK_REPLICA_NUM"`, 'serve'],
  resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
  fleets: ['on-prem'],
});

const waitForOutput = (input: Readonly<Record<string, unknown>>, words: string) =>
  until(
    () => client.call('logs', input),
    ({ facts }) => String(facts['output']).includes(words),
  );

test('the replicas of a service are shown one by one, before and after an update', async () => {
  const name = uniqueName('replicas');
  await changes.start(name, service(name, 'first'));
  await waitForRun(client, name, 'running');

  const second = await waitForOutput({ run: name, replica: 1 }, 'first on replica 1');
  expect(second.facts).toMatchObject({ replica: 1, job: 0 });
  expect(second.text).toMatch(/^shown: replica=1 job=0 \(\w+\); 1 other job: replica=0 job=0 \(\w+\)$/m);

  const got = await client.call('get', { name, replica: 1 });
  expect(got.facts['run']).toMatchObject({ shown: { replica: 1, job: 0 } });
  expect(got.text).toMatch(/^shown: replica=1 job=0 /m);

  const used = await client.call('metrics', { run: name, replica: 1 });
  expect(used.text).toMatch(/not shown: replica=0 job=0 \(\w+\)/);
  expect(JSON.stringify(used.facts['rows'])).not.toContain('replica=0');

  const missing = await Promise.all([
    client.call('logs', { run: name, replica: 7 }),
    client.call('get', { name, replica: 7 }),
    client.call('metrics', { run: name, replica: 7 }),
    client.call('logs', { run: name, job: 1 }),
  ]);
  for (const { facts, text } of missing) {
    expect(facts, text).toMatchObject({ outcome: 'refused', code: 'invalid-value' });
    expect(text).toMatch(/has no (?:replica=7|job=1)\. It has replica=0 job=0 \(\w+\), replica=1 job=0 \(\w+\)\./);
  }

  await changes.start(name, service(name, 'second'));
  const updated = await waitForOutput({ run: name }, 'second on replica');
  expect(updated.facts['replica']).toBeGreaterThan(1);
  // The log of a former replica is still there for whoever asks.
  const former = await client.call('logs', { run: name, replica: 0 });
  expect(former.facts['output']).toContain('first on replica 0');
});
