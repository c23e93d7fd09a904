import { expect, test } from 'vitest';
import type { ApplyRequest } from '../../../src/core/change.ts';
import { setUpChanges } from '../../support/set-up-changes.ts';
import type { ChangesOptions } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const apply: ApplyRequest = { tool: 'apply', file: 'open.dstack.yml' };

function setUp(more: string, options: ChangesOptions = {}) {
  const changes = setUpChanges(options);
  changes.write(apply.file, `type: task\nname: lab-task\ncommands: [echo hello]\n${more}\n`);
  changes.world.reads = { apply: 'plan-task-create' };
  changes.world.changes = { apply: 'apply-task-created' };
  return changes;
}

test.each([
  ['dstack: true', 'the run can reach the dstack server'],
  ['privileged: true', 'the container is privileged'],
  ['docker: true', 'the run starts other containers with Docker'],
  ["volumes: ['/mnt:/mnt']", 'the run can read and write /mnt on its machine'],
  ['ports: [8000]', 'attaching to the run opens its port 8000 on this computer'],
])('%s is named in the question, the card and the facts', async (more, text) => {
  const changes = setUp(more);
  const report = await changes.preview(apply, { canShowCard: true });
  expect(report.facts.access).toEqual([expect.stringContaining(text)]);
  expect(report.card).toMatchObject({ summary: { access: [expect.stringContaining(text)] } });
  const question = await changes.redeem(await changes.mint(apply), { canAskPerson: true });
  expect(question).toMatchObject({ kind: 'question', message: expect.stringContaining(`Access:\n- ${text}`) });
});

test('the plan of a run that opens nothing says nothing about it', async () => {
  const { facts } = await setUp('').preview(apply);
  expect(facts.access).toEqual([]);
});

test('a run with `dstack: true` needs a person, whatever its operation needs', async () => {
  for (const options of [{}, { policy: 'consent: {create: allow}\n' }] satisfies ChangesOptions[]) {
    const changes = setUp('dstack: true', options);
    expect(await refusal(changes.redeem(await changes.mint(apply)))).toMatchObject({ code: 'person-needed' });
    expect(changes.changed()).toEqual([]);
  }
});

test('the policy can say otherwise, and the rule of the operation stays', async () => {
  const open = setUp('dstack: true', { policy: 'consent: {create: ask, server_access: allow}\n' });
  expect(await open.redeem(await open.mint(apply))).toMatchObject({ outcome: 'done' });
  const strict = setUp('dstack: true', { policy: 'consent: {create: person, server_access: allow}\n' });
  expect(await refusal(strict.redeem(await strict.mint(apply)))).toMatchObject({ code: 'person-needed' });
});

test('a file that opens more after the plan is another plan', async () => {
  const changes = setUp('');
  const token = await changes.mint(apply);
  changes.write(apply.file, 'type: task\nname: lab-task\ncommands: [echo hello]\nprivileged: true\n');
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
});
