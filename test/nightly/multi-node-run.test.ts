import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stopRuns, addProject } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { agreeing, connect } from '../support/connect.ts';
import type { Answer, PersonAnswer, TestClient } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
const NO_FLEETS = uniqueName('bare');
let home: TestHome;
let client: TestClient;
/** The prompts that the person of `client` got, and how the person answers. */
const asked: string[] = [];
let answer: (message: string, field: 'approve' | 'name') => PersonAnswer = agreeing;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  await addProject(home, NO_FLEETS);
  client = await connect({
    env: home.env,
    atEnd,
    person: (message, field) => {
      asked.push(message);
      return answer(message, field);
    },
  });
});

async function planOf(configuration: Readonly<Record<string, unknown>> | string, more = {}): Promise<Answer> {
  return client.call('plan', { file: await home.write('this.dstack.yml', configuration), ...more });
}

const apply = (plan: Answer): Promise<Answer> => client.call('apply', { token: plan.facts['token'] });

async function start(name: string, configuration: Readonly<Record<string, unknown>>): Promise<Answer> {
  onTestFinished(() => stopRuns(name));
  // Another test may take the planned instance: then the price rises and the approved change is refused.
  const applied = await until(
    async () => {
      const plan = await planOf(configuration);
      expect(plan.facts['outcome'], plan.text).toBe('done');
      return apply(plan);
    },
    ({ facts }) => facts['code'] !== 'plan-changed',
  );
  expect(applied.facts['outcome'], applied.text).toBe('done');
  return applied;
}

/** Expects a plan that can't be applied: no token, dstack's words, the next step. */
function expectBlocked(plan: Answer, { says, next }: { says: RegExp; next: RegExp }): void {
  expect(plan.facts['outcome'], plan.text).toBe('blocked');
  expect(plan.facts['token']).toBeUndefined();
  expect(plan.text).not.toContain('token:');
  expect(plan.facts['summary']).toMatch(says);
  expect(plan.facts['output']).toMatch(says);
  expect(plan.facts['next']).toMatch(next);
}

describe('a run', () => {
  test('on several nodes is planned, started and shown as one', async () => {
    const name = uniqueName('nodes');
    const plan = await planOf(task(name, { nodes: 2, resources: { gpu: 'RTX4090' }, fleets: ['cloud'] }));
    // The cloud fleet is not a cluster.
    expectBlocked(plan, { says: /No matching instance offers/, next: /placement: cluster/ });

    const configuration = task(name, { nodes: 2, fleets: ['cluster'] });
    // Runs of concurrent tests may occupy one or both machines of the cluster for a while.
    await until(
      async () => {
        await until(
          () => planOf(configuration),
          (again) => again.facts['outcome'] === 'done',
        );
        await start(name, configuration);
        return client.call('get', { name, wait_for: 'running' });
      },
      ({ text }) => !text.includes('failed_to_start_due_to_no_capacity'),
    );
    const { facts } = await waitForRun(client, name, 'running');
    expect(facts['run']).toMatchObject({ fleet: 'cluster', jobs: [{ job: 0 }, { job: 1 }] });
  });
});
