import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectChangeClient, expectBlocked } from '../support/change-client.ts';
import type { ChangeClient } from '../support/change-client.ts';
import { collectEnds } from '../support/collect-ends.ts';
import type { TestClient } from '../support/connect.ts';
import { task, uniqueName } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
let changes: ChangeClient;
let client: TestClient;

beforeAll(async () => {
  changes = await connectChangeClient(atEnd);
  ({ client } = changes);
});

describe('a run', () => {
  test('on several nodes is planned, started and shown as one', async () => {
    const name = uniqueName('nodes');
    const plan = await changes.plan(task(name, { nodes: 2, resources: { gpu: 'RTX4090' }, fleets: ['cloud'] }));
    // The cloud fleet is not a cluster.
    expectBlocked(plan, { says: /No matching instance offers/, next: /plan again/ });
    expect(plan.text).toContain('placement: cluster');

    const configuration = task(name, { nodes: 2, fleets: ['cluster'] });
    // Runs of concurrent tests may occupy one or both machines of the cluster for a while.
    await until(
      async () => {
        await until(
          () => changes.plan(configuration),
          (again) => again.facts['outcome'] === 'done',
        );
        await changes.start(name, configuration);
        return client.call('get', { name, wait_for: 'running' });
      },
      ({ text }) => !text.includes('failed_to_start_due_to_no_capacity'),
    );
    const { facts } = await waitForRun(client, name, 'running');
    expect(facts['run']).toMatchObject({ fleet: 'cluster', jobs: [{ job: 0 }, { job: 1 }] });

    const log = await until(
      () => client.call('logs', { run: name, job: 1 }),
      (answer) => String(answer.facts['output']).includes('node 1 of 2'),
    );
    expect(log.text).toMatch(/^shown: replica=0 job=1 \(running\); 1 other job: replica=0 job=0 \(running\)$/m);
    expect((await client.call('metrics', { run: name, job: 1 })).text).toContain('not shown: replica=0 job=0');
    const missing = await client.call('get', { name, job: 2 });
    expect(missing.text).toContain('It has replica=0 job=0 (running), replica=0 job=1 (running).');
  });
});
