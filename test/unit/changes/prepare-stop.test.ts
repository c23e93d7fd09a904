import { expect, test } from 'vitest';
import { CommandFailed } from '../../../src/core/report.ts';
import { rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const STOP = { tool: 'stop', run: 'lab-task', abort: false } as const;
const ABORT = { ...STOP, abort: true } as const;

function withRun(output: Output) {
  const changes = setUpChanges();
  changes.world.reads = { 'run get': output };
  return changes;
}

test('a stop shows what runs, since when, on what, at what price, and what it has cost', async () => {
  const report = await withRun('run-get-running').preview(STOP);
  expect(report).toMatchObject({
    outcome: 'done',
    facts: {
      operation: 'stop',
      resource: { kind: 'run', name: 'lab-task' },
      project: 'lab',
      status: 'running',
      pricePerHour: 0.39,
    },
    next: 'Show this to the user. Call apply with the token once they approve, or right away if they asked for this themselves and it is within the limits that they named.',
    printed: [],
  });
  expect(report.summary).toBe(
    'Stop run lab-task? task lab-task is running, submitted 2026-11-25T01:13:07.503672Z, RTX4090:24GB:1, $0.39/h, cost so far $0.0016. Nothing was stopped yet.',
  );
  expect(report.facts).toHaveProperty('token');
});

test('a run of which dstack says little is described by what is known', async () => {
  const run = { id: 'r1', status: 'pending', run_spec: { run_name: 'lab-task' } };
  const changes = withRun({ ...rewritten('run-get-running'), stdout: JSON.stringify(run) });
  const report = await changes.preview(STOP);
  expect(report.summary).toBe('Stop run lab-task? run lab-task is pending. Nothing was stopped yet.');
  expect(report.facts).not.toHaveProperty('pricePerHour');
});

test('the preview of a stop runs nothing that stops', async () => {
  const changes = withRun('run-get-running');
  await changes.preview({ ...STOP, project: 'lab' });
  expect(changes.ran.map(({ effect, argv }) => [effect, ...argv])).toEqual([
    ['read', 'run', '--project', 'lab', 'get', '--json', 'lab-task'],
  ]);
});

test('aborting a run requires its typed name and warns that nothing can be saved', async () => {
  const { card, facts } = await withRun('run-get-running').preview(ABORT, { canShowCard: true });
  expect(facts.operation).toBe('abort');
  expect(card).toMatchObject({ operation: 'abort', nameToType: 'lab-task', summary: { action: 'Abort run lab-task' } });
  expect(card?.summary.losses).toContain('it gets no time to save anything');
});

test('to stop a run, a click is enough', async () => {
  const { card } = await withRun('run-get-running').preview(STOP, { canShowCard: true });
  expect(card).toMatchObject({ operation: 'stop', summary: { losses: [expect.any(String)] } });
  expect(card).not.toHaveProperty('nameToType');
});

test.each(['run-get-stopped', 'run-get-failed'])(
  'a finished run is not stopped again, and there is no token: %s',
  async (run) => {
    const report = await withRun(run).preview(STOP);
    expect(report).toMatchObject({ outcome: 'nothing-to-do', next: 'See what it printed with logs.' });
    expect(report.summary).toMatch(/^Run lab-task is already \w+: there is nothing to stop\.$/);
    expect(report.facts).not.toHaveProperty('token');
  },
);

test('an unknown run is refused with the tool that lists them', async () => {
  expect(await refusal(withRun('run-get-not-found').preview(STOP))).toMatchObject({
    code: 'invalid-name',
    message: 'There is no run lab-task. Nothing was stopped.',
    hint: expect.stringContaining('ps'),
  });
});

test("where dstack can't be asked, its own words are returned", async () => {
  await expect(withRun('error-unreachable').preview(STOP)).rejects.toThrow(CommandFailed);
});

test.each([
  [STOP, ['stop', '--yes', 'lab-task']],
  [ABORT, ['stop', '--yes', '--abort', 'lab-task']],
])('the token stands for exactly one command', async (request, argv) => {
  const changes = withRun('run-get-running');
  changes.world.changes = { stop: request.abort ? 'stop-aborted' : 'stop-stopped' };
  await changes.redeem(await changes.mint(request));
  expect(changes.changed().map((command) => command.argv)).toEqual([argv]);
});

test('another run of the same name is not the one that was approved', async () => {
  const changes = withRun('run-get-running');
  const token = await changes.mint(STOP);
  changes.world.reads['run get'] = rewritten('run-get-running', ['da47bb13', 'ffffffff']);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
});
