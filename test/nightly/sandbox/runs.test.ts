import { afterAll, beforeAll, expect, test } from 'vitest';
import { isOver, lastSubmission, startTestSandbox } from '../../support/start-test-sandbox.ts';
import type { Run, TestSandbox } from '../../support/start-test-sandbox.ts';

let sandbox: TestSandbox;

beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(async () => {
  await sandbox?.stop();
});

test('a task runs to completion and logs the simulated output of its commands', async () => {
  const output = await sandbox.apply({
    type: 'task',
    name: 'quick',
    env: { WHO: 'world' },
    commands: [
      'echo "hello $WHO"',
      'for i in 1 2; do echo step $i; sleep 0.1; done',
      'python train.py --epochs 2',
      'echo bye',
    ],
  });
  expect(output).toContain('Run quick submitted, detaching...');
  const run = await sandbox.waitFor('quick', isOver);
  expect(run.status).toBe('done');
  expect(lastSubmission(run)).toMatchObject({ status: 'done', exit_status: 0 });
  const logs = await sandbox.dstack('logs', 'quick');
  expect(logs.output.trim().split(/\r?\n/)).toEqual([
    'hello world',
    'step 1',
    'step 2',
    expect.stringContaining('python train.py --epochs 2'),
    'bye',
  ]);
});

test('a task with a failing command fails with its exit status', async () => {
  await sandbox.apply({ type: 'task', name: 'failing', commands: ['echo about to fail', 'exit 3', 'echo never'] });
  const run = await sandbox.waitFor('failing', isOver);
  expect(run.status).toBe('failed');
  expect(lastSubmission(run)).toMatchObject({ exit_status: 3, termination_reason: 'container_exited_with_error' });
  const { output } = await sandbox.dstack('logs', 'failing');
  expect(output).toContain('about to fail');
  expect(output).not.toContain('never');
});

test('a slow image pull reports its progress, and the run continues after it', async () => {
  // The pull ends once it was observed, since the CLI alone can take longer than a pull of a few seconds.
  const scenario = { pullMs: 600_000, script: [[0, 'pulled']] as const };
  sandbox.controls.scenarios.set('slow', scenario);
  await sandbox.apply({ type: 'task', name: 'slow', commands: ['echo not played'] });
  const pulling = await sandbox.waitFor('slow', (run) => lastSubmission(run).status === 'pulling' || isOver(run));
  expect(lastSubmission(pulling).status).toBe('pulling');
  const withProgress = await sandbox.waitFor('slow', (run) => hasProgress(run) || isOver(run));
  expect(hasProgress(withProgress)).toBe(true);
  scenario.pullMs = 0;
  expect((await sandbox.waitFor('slow', isOver)).status).toBe('done');
});

function hasProgress(run: Run): boolean {
  return (lastSubmission(run).image_pull_progress?.downloaded_bytes ?? 0) > 0;
}

test('a run whose image cannot be pulled fails with the reason', async () => {
  sandbox.controls.scenarios.set('badpull', { pullMs: 50, pullError: 'manifest unknown' });
  await sandbox.apply({ type: 'task', name: 'badpull', commands: ['echo never'] });
  const run = await sandbox.waitFor('badpull', isOver);
  expect(run.status).toBe('failed');
  expect(lastSubmission(run)).toMatchObject({
    termination_reason: 'creating_container_error',
    termination_reason_message: expect.stringContaining('manifest unknown'),
  });
});

test('a run without a matching offer fails with no capacity', async () => {
  const output = await sandbox.apply({
    type: 'task',
    name: 'greedy',
    commands: ['echo never'],
    resources: { gpu: 'B200:8' },
  });
  expect(output).toContain('No matching instance offers available.');
  const run = await sandbox.waitFor('greedy', isOver);
  expect(run.status).toBe('failed');
  expect(lastSubmission(run).termination_reason).toBe('failed_to_start_due_to_no_capacity');
});

test('dstack stop ends an endless run', async () => {
  sandbox.controls.scenarios.set('endless', { script: [[0, 'working']], untilStopped: true });
  await sandbox.apply({ type: 'task', name: 'endless', commands: ['echo not played'] });
  await sandbox.waitFor('endless', ({ status }) => status === 'running');
  expect(sandbox.controls.tasks.map(({ name }) => name)).toContain('endless-0-0');
  expect((await sandbox.dstack('stop', 'endless', '-y')).output).toContain('Stopped');
  const run = await sandbox.waitFor('endless', isOver);
  expect(run.status).toBe('terminated');
  expect(lastSubmission(run).termination_reason).toBe('terminated_by_user');
});

test('a run with two nodes runs on the cluster, and each node has its rank', async () => {
  await sandbox.apply({
    type: 'task',
    name: 'pair',
    nodes: 2,
    fleets: ['cluster'],
    commands: ['echo "rank $DSTACK_NODE_RANK of $DSTACK_NODES_NUM"'],
  });
  expect((await sandbox.waitFor('pair', isOver)).status).toBe('done');
  expect((await sandbox.dstack('logs', 'pair', '--job', '1')).output).toContain('rank 1 of 2');
});
