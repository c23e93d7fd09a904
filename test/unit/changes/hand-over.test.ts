import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ApplyRequest } from '../../../src/core/change.ts';
import { setUpChanges, tokenOf } from '../../support/set-up-changes.ts';
import type { ChangesOptions } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const apply: ApplyRequest = { tool: 'apply', file: 'sends.dstack.yml' };

function setUp(more: string, options: ChangesOptions = {}) {
  const changes = setUpChanges(options);
  changes.write(apply.file, `type: task\nname: lab-task\ncommands: [echo hello]\n${more}\n`);
  changes.write('data/a.txt', 'abc');
  changes.world.reads = { apply: 'plan-task-create' };
  return changes;
}

const SENT = [
  'planning sent 1 file (3 bytes) from data to the dstack server',
  "planning sent the values of HF_TOKEN from this server's environment to the dstack server",
];

test('the plan and the question say what planning sent', async () => {
  const changes = setUp('files: [data]\nenv: [HF_TOKEN]');
  changes.world.env = { HF_TOKEN: 'never-shown' };
  const report = await changes.preview(apply, { canShowCard: true });
  expect(report.facts.warnings).toEqual(SENT);
  expect(report.card).toMatchObject({ summary: { warnings: SENT } });
  const question = await changes.service({ canAskPerson: true }).redeem(tokenOf(report));
  expect(question).toMatchObject({
    kind: 'question',
    message: expect.stringContaining(SENT.map((line) => `- ${line}`).join('\n')),
  });
  expect(JSON.stringify([report, question])).not.toContain('never-shown');
});

test('a file that changes after the plan makes it another plan', async () => {
  const changes = setUp('files: [data]');
  changes.world.changes = { apply: 'apply-task-detached' };
  const token = await changes.mint(apply);
  changes.write('data/a.txt', 'abcd');
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
});

test('a path outside of the workspace is refused before dstack is started', async () => {
  for (const more of [
    'files: [/etc/passwd]',
    'repos: [/etc]',
    'files: [data]\nssh_config: {identity_file: ~/.ssh/id}',
  ]) {
    const changes = setUp(more);
    changes.world.credentials = { repositories: [], keys: [null] };
    expect(await refusal(changes.preview(apply))).toMatchObject({ code: 'outside-workspace' });
    expect(changes.ran).toEqual([]);
  }
});

test('a link that is put in after the plan is refused before dstack is started again', async () => {
  const changes = setUp('files: [data]');
  const token = await changes.mint(apply);
  symlinkSync('/etc/passwd', path.join(changes.folder, 'data/link'));
  const before = changes.ran.length;
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'outside-workspace' });
  expect(changes.ran).toHaveLength(before);
});

test.each<ChangesOptions>([{ policy: 'read_only: true\n' }, { settings: { readOnly: true } }])(
  'a read-only server plans only what sends nothing but the configuration (%j)',
  async (options) => {
    const refused = setUp('files: [data]', options);
    expect(await refusal(refused.preview(apply))).toMatchObject({
      code: 'read-only',
      message: expect.stringContaining('1 file (3 bytes) from data'),
    });
    expect(refused.ran).toEqual([]);
    expect(await setUp('', options).preview(apply)).toMatchObject({ outcome: 'done', facts: { warnings: [] } });
  },
);
