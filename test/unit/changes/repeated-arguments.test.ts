import path from 'node:path';
import { expect, test } from 'vitest';
import type { ChangeRequest } from '../../../src/core/change.ts';
import { assertSameArguments } from '../../../src/changes/repeated-arguments.ts';
import type { RepeatedArguments } from '../../../src/changes/repeated-arguments.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { rewritten, setUpChanges, tokenOf } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';
import { tools } from '../../../tools/index.ts';

const APPLY: ChangeRequest = { tool: 'apply', file: 'task.dstack.yml', extraFlags: { '--max-price': 0.5 } };
const STOP: ChangeRequest = { tool: 'stop', run: 'lab-task', abort: false };

function readyFor() {
  const changes = setUpChanges();
  changes.world.reads = { apply: 'plan-task-create', 'run get': 'run-get-running' };
  changes.world.changes = {
    apply: 'apply-task-created',
    stop: () => {
      changes.world.reads['run get'] = 'run-get-stopped';
      return rewritten('stop-stopped');
    },
  };
  const redeem = async (request: ChangeRequest, repeated: (folder: string) => RepeatedArguments) =>
    changes.service().redeem(tokenOf(await changes.preview(request)), repeated(changes.folder));
  return { changes, redeem };
}

test.each<[ChangeRequest, (folder: string) => RepeatedArguments]>([
  [APPLY, () => ({ file: 'task.dstack.yml' })],
  [APPLY, () => ({ file: './task.dstack.yml', flags: { '--max-price': 0.5 }, project: 'lab' })],
  [APPLY, (folder) => ({ file: path.join(folder, 'task.dstack.yml'), type: 'task', name: 'lab-task' })],
  [STOP, () => ({ run: ['lab-task'], abort: false })],
  [STOP, () => ({ name: 'lab-task', project: undefined })],
])('a token is redeemed together with the arguments of its preview', async (request, repeated) => {
  const { changes, redeem } = readyFor();
  expect(await redeem(request, repeated)).toMatchObject({ outcome: 'done' });
  expect(changes.changed()).toHaveLength(1);
});

test.each<[ChangeRequest, RepeatedArguments, string, string]>([
  [APPLY, { file: 'svc.dstack.yml' }, 'file is "task.dstack.yml" there and "svc.dstack.yml" here', 'plan'],
  [APPLY, { flags: { '--max-price': 0.9 } }, '--max-price is 0.5 there and 0.9 here', 'plan'],
  [APPLY, { flags: { '--spot-policy': 'spot' } }, '--spot-policy is not set there and "spot" here', 'plan'],
  [APPLY, { project: 'prod' }, 'project is "lab" there and "prod" here', 'plan'],
  [STOP, { run: ['lab-task', 'other'] }, 'run is ["lab-task"] there and ["lab-task","other"] here', 'stop'],
  [STOP, { abort: true }, 'abort is false there and true here', 'stop'],
  [STOP, { file: 'task.dstack.yml' }, 'file is not set there and "task.dstack.yml" here', 'stop'],
])(
  'a token with other arguments is refused with the difference, and stays valid',
  async (request, repeated, why, tool) => {
    const { changes } = readyFor();
    const token = tokenOf(await changes.preview(request));
    expect(await refusal(changes.service().redeem(token, repeated))).toMatchObject({
      code: 'invalid-input',
      message: `The token stands for another change than these arguments: ${why}. Nothing was changed.`,
      hint: expect.stringContaining(`call ${tool} with them`),
    });
    expect(changes.changed()).toEqual([]);
    expect(await changes.redeem(token)).toMatchObject({ outcome: 'done' });
  },
);

test('several runs are the same in any order, and another choice of them is not', () => {
  const change = { ...pendingChange(), request: { tool: 'stop' as const, runs: ['one', 'two'], project: undefined } };
  expect(() => assertSameArguments(change, { run: ['two', 'one'] })).not.toThrow();
  expect(() => assertSameArguments(change, { run: ['one', 'one'] })).toThrow('run is ["one","two"] there');
});

test('apply takes the arguments of every preview, and no others', () => {
  const apply = tools.find(({ name }) => name === 'apply');
  for (const preview of tools.filter(({ name }) => ['plan', 'stop', 'delete'].includes(name)))
    for (const field of Object.keys(preview.input.shape))
      expect(() => apply?.prepare({ token: 'a', [field]: {} }), field).not.toThrow(`unknown "${field}"`);
  expect(() => apply?.prepare({ token: 'a', run: 'a', gpu: 'A100', flags: {} })).not.toThrow();
  expect(() => apply?.prepare({ token: 'a', force: true })).toThrow('unknown "force"');
});
