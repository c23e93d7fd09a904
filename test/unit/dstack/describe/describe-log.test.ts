import { expect, test } from 'vitest';
import { adviseOnLog, describeLog } from '../../../../src/dstack/describe/describe-log.ts';
import { readJsonOutput } from '../../../../src/dstack/output/read-json-output.ts';
import { readRun } from '../../../../src/dstack/output/read-run.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const recorded = (name: string) => readRun(readJsonOutput(readFixture(name).stdout));
const failed = recorded('run-get-failed');
const running = recorded('run-get-running');

test('a log says whose it is, since when, and whether more may come', () => {
  expect(describeLog({ run: failed, isEmpty: false, isWhole: true })).toEqual([
    `run: lab-fail (${failed.id}), failed, submitted at 2026-11-25T01:32:52Z; its log is complete`,
  ]);
  expect(describeLog({ run: running, isEmpty: false, isWhole: true }).join()).toMatch(/, running, .*; more may come$/);
  expect(describeLog({ run: undefined, isEmpty: false, isWhole: true })).toEqual([]);
});

test('a log that was read in part says how to get the newest', () => {
  expect(describeLog({ run: undefined, isEmpty: false, isWhole: false }).join()).toMatch(/too long.*`since`/);
});

test.each([
  [running, { since: '5m' }, /window: omit `since`/],
  [running, { filter: 'loss' }, /window/],
  [failed, {}, /ended without output.*diagnose/],
  [running, {}, /not have started/],
  [undefined, {}, /not have started/],
])('a log of which nothing is shown', (run, request, advice) => {
  expect(adviseOnLog(run, request)).toMatch(advice);
});
