import { expect, test } from 'vitest';
import { judgeEffect } from '../../../src/changes/judge-effect.ts';
import type { Effect, Sight } from '../../../src/changes/judge-effect.ts';
import type { FoundResource, ResourceKind } from '../../../src/dstack/client/find-resource.ts';
import { readFixture } from '../../support/read-fixture.ts';

const found = (value: Readonly<Record<string, unknown>>): FoundResource => ({
  id: 'it',
  name: 'lab',
  status: typeof value['status'] === 'string' ? value['status'] : undefined,
  value: { id: 'it', ...value },
  transcript: readFixture('fleet-get'),
});

/** A run in a status, with the reasons for which its jobs end. */
const run = (status: string, ...reasons: readonly (string | null)[]): FoundResource =>
  found({
    status,
    run_spec: { run_name: 'lab' },
    jobs: reasons.map((termination_reason) => ({
      job_spec: {},
      job_submissions: [{ status: 'terminating', termination_reason }],
    })),
  });

const CREATED: Effect = { kind: 'created' };
const STOPPED: Effect = { kind: 'stopped', id: 'it' };
const DELETED: Effect = { kind: 'deleted', id: 'it' };
const EARLIER_STOPPED: Effect = { kind: 'stopped', id: 'an earlier one' };
const instances = (...statuses: readonly string[]): FoundResource =>
  found({ status: 'active', instances: statuses.map((status, at) => ({ instance_num: at, status })) });

test.each<[string, Effect, ResourceKind, FoundResource | undefined, Sight]>([
  ['a created run that exists', CREATED, 'run', run('submitted'), 'effective'],
  ['a created run that is finished: it may be an earlier one', CREATED, 'run', run('done'), 'unclear'],
  ['a created run that is finished already', { ...CREATED, before: null }, 'run', run('done'), 'effective'],
  ['a created run, where an earlier one is found', { ...CREATED, before: 'it' }, 'run', run('done'), 'nothing'],
  ['a created run, where an earlier one is replaced', { ...CREATED, before: 'older' }, 'run', run('done'), 'effective'],
  ['a created run that is not there', CREATED, 'run', undefined, 'nothing'],
  ['a created volume that failed', CREATED, 'volume', found({ status: 'failed' }), 'effective'],
  ['a stopped run that is gone', STOPPED, 'run', undefined, 'effective'],
  ['a stopped run whose name another one has', EARLIER_STOPPED, 'run', run('running', null), 'effective'],
  ['a stopped run that has ended', STOPPED, 'run', run('terminated'), 'effective'],
  ['a stopped run that runs', STOPPED, 'run', run('running', null), 'nothing'],
  ['a stopped run whose jobs do not know yet', STOPPED, 'run', run('terminating', null), 'unclear'],
  [
    'a stopped run whose jobs end for another reason',
    STOPPED,
    'run',
    run('terminating', 'container_exited_with_error'),
    'unclear',
  ],
  ['a stopped run whose jobs know it', STOPPED, 'run', run('terminating', null, 'terminated_by_user'), 'effective'],
  ['an aborted run whose jobs know it', STOPPED, 'run', run('terminating', 'aborted_by_user'), 'effective'],
  ['a deleted run that exists, terminated', DELETED, 'run', run('terminated'), 'nothing'],
  ['a deleted fleet that is terminating', DELETED, 'fleet', found({ status: 'terminating' }), 'effective'],
  ['a deleted fleet that is active', DELETED, 'fleet', instances('terminating'), 'nothing'],
  ['a deleted volume that is listed', DELETED, 'volume', found({ status: 'active' }), 'nothing'],
  ['a deleted volume that is gone', DELETED, 'volume', undefined, 'effective'],
  ['a deleted instance that is idle', { ...DELETED, instance: 1 }, 'fleet', instances('idle', 'idle'), 'nothing'],
  ['a deleted instance that ends', { ...DELETED, instance: 1 }, 'fleet', instances('idle', 'terminating'), 'effective'],
  ['a deleted instance that is gone', { ...DELETED, instance: 1 }, 'fleet', instances('idle'), 'effective'],
  ['a replaced run that still exists', { kind: 'replaced', before: 'it' }, 'run', run('terminated'), 'nothing'],
  ['a replaced run that is a new one', { kind: 'replaced', before: 'older' }, 'run', run('submitted'), 'effective'],
  ['a replaced run that is not there', { kind: 'replaced', before: 'it' }, 'run', undefined, 'nothing'],
])('%s', (_what, effect, kind, resource, sight) => {
  expect(judgeEffect(effect, kind, resource)).toBe(sight);
});

test.each(['run_spec', 'spec', 'configuration'])('an update shows in another %s', (where) => {
  const before = found({ [where]: { nodes: 1 }, status: 'active' });
  const effect: Effect = { kind: 'updated', before };
  expect(judgeEffect(effect, 'fleet', found({ [where]: { nodes: 1 }, status: 'terminating' }))).toBe('nothing');
  expect(judgeEffect(effect, 'fleet', found({ [where]: { nodes: 2 } }))).toBe('effective');
  expect(judgeEffect({ kind: 'updated', before: undefined }, 'fleet', before)).toBe('unclear');
});
