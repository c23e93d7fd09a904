import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ChangeRequest } from '../../../src/core/change.ts';
import { configOf, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';

const FOLDER = new URL('../../../docs/policies/', import.meta.url);

/** A project in which each policy allows changes. */
const PROJECTS: Readonly<Record<string, string>> = {
  'careful-person.yml': 'any',
  'team.yml': 'dev-lab',
  'unattended-agent.yml': 'sandbox',
};

const REQUESTS: Readonly<Record<string, { request: ChangeRequest; plan: string; operation: string }>> = {
  create: { request: { tool: 'apply', file: 'task.dstack.yml' }, plan: 'plan-task-create', operation: 'create' },
  update: { request: { tool: 'apply', file: 'task.dstack.yml' }, plan: 'plan-task-update', operation: 'update' },
  stop: { request: { tool: 'stop', run: 'lab-task', abort: false }, plan: 'plan-task-create', operation: 'stop' },
  delete: {
    request: { tool: 'delete', kind: 'fleet', name: 'lab-cloud' },
    plan: 'plan-task-create',
    operation: 'delete',
  },
};

/** A server whose default project is the one that the policy allows, with offers that its lists allow. */
function governed(file: string, plan: string) {
  const project = PROJECTS[file] ?? 'lab';
  const policy = readFileSync(new URL(file, FOLDER), 'utf8')
    .replace(/^backends: .*$/m, 'backends: [cloudrift]')
    .replace(/^regions: .*$/m, 'regions: [us-east-nc-nr-1]');
  const changes = setUpChanges({ policy });
  changes.world.config = configOf(project, 'elsewhere');
  const reads: Record<string, Output> = {
    apply: rewritten(plan, ['Project        lab', `Project        ${project}`]),
    'run get': rewritten('run-get-running', ['"project_name": "lab"', `"project_name": "${project}"`]),
    'fleet get': rewritten(
      'fleet-get',
      ['"busy"', '"idle"'],
      ['"project_name": "lab"', `"project_name": "${project}"`],
    ),
    fleet: 'fleet',
    ps: 'ps-running',
  };
  changes.world.reads = reads;
  return changes;
}

test('every shipped policy is tested', () => {
  expect(readdirSync(FOLDER).sort()).toEqual(Object.keys(PROJECTS));
});

describe.each(Object.keys(PROJECTS))('%s', (file) => {
  const allowed = /^operations: \[(.*)\]$/m.exec(readFileSync(new URL(file, FOLDER), 'utf8'))?.[1]?.split(', ');

  test.each(Object.entries(REQUESTS))('decides %s alike with and without a project', async (_name, wanted) => {
    const { request, plan, operation } = wanted;
    const expected = (allowed?.includes(operation) ?? true) ? /^token$/ : new RegExp(`not allow .*${operation}`);
    for (const project of [undefined, PROJECTS[file]]) {
      const outcome = await governed(file, plan)
        .preview({ ...request, project })
        .then(
          ({ facts }) => (facts.token === undefined ? 'no token' : 'token'),
          (error: unknown) => String(error),
        );
      expect(outcome).toMatch(expected);
    }
  });
});
