import { expect, test } from 'vitest';
import type { ApplyRequest } from '../../../src/core/change.ts';
import { reportOf, rewritten, setUpChanges } from '../../support/set-up-changes.ts';

const apply: ApplyRequest = { tool: 'apply', file: 'task.dstack.yml' };
const PLACE = 'on cloudrift in us-east-nc-nr-1';

function setUp() {
  const changes = setUpChanges();
  changes.world.reads = { apply: 'plan-task-create' };
  changes.world.changes = { apply: 'apply-task-created' };
  return changes;
}

test('the question and the card name the first offer, and the question says that it is not bound', async () => {
  const changes = setUp();
  const { card } = await changes.preview(apply, { canShowCard: true });
  expect(card?.summary.machine).toContain(PLACE);
  expect(await changes.redeem(await changes.mint(apply), { canAskPerson: true })).toMatchObject({
    message: expect.stringMatching(
      /Machine: .* on cloudrift in us-east-nc-nr-1.* \(dstack chooses again when it starts\)/,
    ),
  });
});

test('a run that would start elsewhere by now is applied, and the result says so', async () => {
  const changes = setUp();
  const token = await changes.mint(apply);
  changes.world.reads = { apply: rewritten('plan-task-create', ['us-east-nc-nr-1', 'us-west-nc-nr-1']) };
  const { outcome, summary } = reportOf(await changes.redeem(token));
  expect(outcome).toBe('done');
  expect(summary).toMatch(
    /Planned: .* in us-east-nc-nr-1.*\. When it was applied, the first offer was .* in us-west-nc-nr-1.*\.$/,
  );
});

test('a run that starts where it was planned says nothing about it', async () => {
  const changes = setUp();
  const { summary } = reportOf(await changes.redeem(await changes.mint(apply)));
  expect(summary).not.toContain('Planned:');
});
