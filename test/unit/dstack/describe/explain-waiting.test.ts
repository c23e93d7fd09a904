import { expect, it } from 'vitest';
import { explainWaiting } from '../../../../src/dstack/describe/explain-waiting.ts';
import { readJsonOutput } from '../../../../src/dstack/output/read-json-output.ts';
import { readRun } from '../../../../src/dstack/output/read-run.ts';
import type { RunFacts } from '../../../../src/dstack/output/read-run.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const recorded = readRun(readJsonOutput(readFixture('run-get-running').stdout));
const pending = (more: Partial<RunFacts>, terminationReason?: string): RunFacts => ({
  ...recorded,
  status: 'pending',
  jobs: [
    {
      name: 'lab-task-0-0',
      replica: 0,
      job: 0,
      status: 'failed',
      ...(terminationReason === undefined ? {} : { terminationReason }),
    },
  ],
  ...more,
});

it.each<[string, RunFacts, RegExp]>([
  ['capacity', pending({ statusMessage: 'retrying' }), /waits for capacity.*offer.*stop/],
  ['capacity, as its job says', pending({}, 'failed_to_start_due_to_no_capacity'), /waits for capacity/],
  ['its schedule', pending({ nextStartAt: '2026-01-02T03:04:05Z' }), /starts it at 2026-01-02T03:04:05Z/],
  ['requests', pending({ kind: 'service', jobs: [] }), /waits for requests/],
  ['requests, just submitted', pending({ kind: 'service', status: 'submitted', jobs: [] }), /waits for requests/],
  [
    'another configuration',
    pending({ kind: 'service', jobs: [], isServiceOnServer: true }),
    /no request starts one here.*`replicas: 1`/,
  ],
  ['a retry', pending({}, 'container_exited_with_error'), /retried after container_exited_with_error/],
  ['an instance', pending({ status: 'submitted' }), /looking for an instance/],
])('a run that waits for %s says so', (_what, run, words) => {
  expect(explainWaiting(run)).toMatch(words);
});

it('nothing is said about a run that has started, or that waits for an unknown reason', () => {
  expect(explainWaiting(recorded)).toBeUndefined();
  expect(explainWaiting(pending({}))).toBeUndefined();
});
