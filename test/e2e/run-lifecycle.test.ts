import { describe, expect, test } from 'vitest';
import { CLIENTS, agreeing, connect } from '../support/connect.ts';
import { waitForLog, waitForRun } from '../support/wait.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';

// One of each protocol era.
describe.each([CLIENTS[0], CLIENTS[2]])('the life of a run with the %s', (kind) => {
  test('plans, asks the person, applies, waits, reads the log and stops', async () => {
    const home = await createTestHome();
    const name = uniqueName('round');
    await home.write('round.dstack.yml', task(name));
    const questions: string[] = [];
    const client = await connect({
      env: home.env,
      kind,
      person: (message, field) => {
        questions.push(message);
        return agreeing(message, field);
      },
    });

    const plan = await client.call('plan', { file: 'round.dstack.yml' });
    expect(plan.facts).toMatchObject({
      outcome: 'done',
      operation: 'create',
      project: 'main',
      resource: { kind: 'task', name },
    });
    expect(plan.text).toContain(`Create task ${name} from round.dstack.yml`);
    expect(plan.facts['output']).toMatch(/\n Project +main\n/);
    // dstack's question was answered already.
    expect(plan.text).not.toContain('[y/n]');
    expect(plan.text).toContain(String(plan.facts['token']));
    expect(questions).toEqual([]);

    const applied = await client.call('apply', { token: plan.facts['token'] });
    expect(applied.facts).toMatchObject({ outcome: 'done', operation: 'create' });
    expect(applied.facts['consent']).toMatch(/^person-form/);
    expect(applied.facts['summary']).toContain(`Run ${name} submitted, detaching...`);
    expect(applied.text).not.toContain('Project ');
    expect(questions).toHaveLength(1);
    expect(questions[0]).toContain(name);

    await waitForRun(client, name, 'running');

    const listed = await client.call('ps');
    expect(listed.facts['runs']).toContainEqual(expect.objectContaining({ name, status: 'running' }));

    // The server receives a job's log shortly after it was printed.
    const log = await waitForLog(client, name, 'the first line');
    expect(log.facts['output']).toMatch(/untrusted output .*\n(.*\n)*the first line/);

    const preview = await client.call('stop', { run: name });
    expect(preview.facts).toMatchObject({ outcome: 'done', operation: 'stop', status: 'running' });
    const stopped = await client.call('apply', { token: preview.facts['token'] });
    expect(stopped.facts).toMatchObject({ outcome: 'done', operation: 'stop' });
    expect(questions).toHaveLength(2);
    const ended = await waitForRun(client, name, 'finished');
    expect(ended.facts).toMatchObject({ status: 'terminated', reached: true });
  });
});
