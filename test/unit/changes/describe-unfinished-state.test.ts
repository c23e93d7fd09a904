import { expect, test } from 'vitest';
import { describeUnfinishedState } from '../../../src/changes/describe-unfinished-state.ts';
import { auditEntry } from '../../../src/safety/audit/audit-log.ts';
import type { AuditEntry } from '../../../src/safety/audit/audit-log.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { setUpChanges } from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';

const LONG_AGO = new Date(Date.now() - 10 * 60_000);

async function stateOf(output: Output, more: Partial<AuditEntry> = {}, approvedAt = LONG_AGO): Promise<string> {
  const changes = setUpChanges();
  changes.world.reads['run get'] = output;
  const dstack = changes.openDstack();
  const { server } = await dstack.endpoint('lab');
  const entry = auditEntry('id1', pendingChange(), { event: 'approved' });
  const resource = { kind: 'task', name: 'lab-task' };
  return describeUnfinishedState(dstack, {
    entry: { ...entry, project: 'lab', server, resource, ...more },
    approvedAt,
  });
}

test.each<[string, Output, Partial<AuditEntry>, string]>([
  ['that is running', 'run-get-running', {}, 'The run lab-task is running now.'],
  ['that is gone', 'run-get-not-found', {}, 'There is no run lab-task now.'],
  ['when dstack fails', 'error-unreachable', {}, "The run lab-task couldn't be looked up."],
  ['on another server', 'run-get-running', { server: 'http://other' }, "The run lab-task couldn't be looked up."],
  ['of a project that is gone', 'run-get-running', { project: 'x' }, "The run lab-task couldn't be looked up."],
  ['without a name', 'run-get-running', { resource: { kind: 'task' } }, "Its name isn't known."],
])('a resource %s', async (_what, output, more, state) => {
  expect(await stateOf(output, more)).toBe(`${state} Check with get, ps, fleet or list before you repeat it.`);
});

test('a change of the last minutes may still go on', async () => {
  expect(await stateOf('run-get-not-found', {}, new Date())).toContain('dstack may still be working on it.');
});
