import { expect, test } from 'vitest';
import { withoutPlan, withoutQuestion } from '../../../../src/dstack/output/plan-text.ts';
import { readFixture } from '../../../support/read-fixture.ts';

test.each(['plan-task-create', 'plan-task-replace', 'plan-fleet-create', 'plan-task-no-offers', 'plan-volume-create'])(
  'a plan loses its question and nothing else: %s',
  (name) => {
    const before = readFixture(name);
    const { stdout } = withoutQuestion(before);
    expect(before.stdout.startsWith(stdout.trimEnd())).toBe(true);
    expect(before.stdout.slice(stdout.trimEnd().length)).toMatch(/^\s*\S.*\? \[y\/n\]: *\s*Exiting\.\.\.\s*$/);
  },
);

test('output without a question is unchanged', () => {
  expect(withoutQuestion(readFixture('ps-running'))).toEqual(readFixture('ps-running'));
});

test('the result of a change is what is left without its plan', () => {
  expect(withoutPlan(readFixture('apply-task-created').stdout)).toBe('Run lab-task submitted, detaching...');
  expect(withoutPlan(readFixture('stop-stopped').stdout)).toBe('Stopped');
});
