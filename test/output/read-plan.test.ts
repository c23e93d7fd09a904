import { describe, expect, it } from 'vitest';
import { readPlan } from '../../src/output/read-plan.ts';
import { readFixture } from './read-fixture.ts';

describe('the action of a plan', () => {
  it.each([
    ['plan-task-create', 'task', 'create', 'lab-task', []],
    ['plan-task-none', 'task', 'none', 'lab-task', []],
    ['plan-task-update', 'task', 'update', 'lab-task', ['priority']],
    ['plan-task-replace', 'task', 'replace', 'lab-task', ['commands']],
    ['plan-service-create', 'service', 'create', 'lab-svc', []],
    ['plan-service-none', 'service', 'none', 'lab-svc', []],
    ['plan-service-update', 'service', 'update', 'lab-svc', ['commands']],
    ['plan-service-replace', 'service', 'replace', 'lab-svc', ['auth', 'commands']],
    ['plan-dev-create', 'dev-environment', 'create', 'lab-dev', []],
    ['plan-dev-none', 'dev-environment', 'none', 'lab-dev', []],
    ['plan-dev-update', 'dev-environment', 'update', 'lab-dev', ['inactivity_duration']],
    ['plan-dev-replace', 'dev-environment', 'replace', 'lab-dev', ['inactivity_duration', 'env']],
    ['plan-fleet-create', 'fleet', 'create', 'lab-cloud', []],
    ['plan-fleet-none', 'fleet', 'none', 'lab-cloud', []],
    ['plan-fleet-update', 'fleet', 'update', 'lab-cloud', ['nodes']],
    ['plan-fleet-replace', 'fleet', 'replace', 'lab-cloud', ['idle_duration']],
    ['plan-fleet-unnamed', 'fleet', 'create', undefined, []],
    ['plan-fleet-ssh', 'fleet', 'create', 'on-prem', []],
    ['plan-volume-create', 'volume', 'create', 'lab-vol', []],
    ['plan-volume-none', 'volume', 'none', 'lab-vol', []],
    ['plan-volume-replace', 'volume', 'replace', 'lab-vol', []],
    ['plan-volume-external', 'volume', 'create', undefined, []],
  ])('of %s is read as %s %s', (fixture, kind, action, name, changes) => {
    const plan = readPlan(readFixture(fixture));
    expect(plan).toMatchObject({ kind, action, changes, project: 'lab', blockers: [] });
    expect(plan.name).toBe(name);
  });
});
