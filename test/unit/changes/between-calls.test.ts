import path from 'node:path';
import { expect, test } from 'vitest';
import { SlowPlans, assertSameArguments } from '../../../src/changes/between-calls.ts';
import type { RepeatedArguments } from '../../../src/changes/between-calls.ts';
import type { ChangeRequest } from '../../../src/core/change.ts';
import { promiseWithResolvers } from '../../../src/core/waiting.ts';
import { tools } from '../../../tools/index.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { rewritten, setUpChanges, tokenOf } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const call = (waitMs: number, signal = new AbortController().signal) => ({ waitMs, signal });
const NO_TIME = call(0);
const ENOUGH = call(60_000);

/** A plan that ends when the test says so. */
function slowPlan() {
  const { promise, resolve } = promiseWithResolvers<() => string>();
  const signals: AbortSignal[] = [];
  return {
    signals,
    resolve,
    start: (signal: AbortSignal): Promise<string> => {
      signals.push(signal);
      return promise.then((end) => end());
    },
  };
}

test('a plan that takes longer than its call is returned to the same call again, and only once', async () => {
  const plans = new SlowPlans<string>();
  const { signals, resolve, start } = slowPlan();
  expect(await plans.wait('a', NO_TIME, start)).toBeUndefined();
  expect(await plans.wait('a', NO_TIME, start)).toBeUndefined();
  resolve(() => 'the plan');
  expect(await plans.wait('a', ENOUGH, start)).toEqual({ plan: 'the plan' });
  expect(signals).toHaveLength(1);
  await plans.wait('a', ENOUGH, start);
  expect(signals).toHaveLength(2);
});

test.each([
  [3 * 60_000 - 1, 'the plan'],
  [3 * 60_000, 'a new plan'],
])('a plan that ended is returned for three minutes: after %i ms it is %s', async (ageMs, plan) => {
  let now = 0;
  const plans = new SlowPlans<string>({ now: () => now });
  const { resolve, start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  // The time until it ended doesn't count.
  now = 10 * 60_000;
  resolve(() => 'the plan');
  await new Promise((next) => {
    setImmediate(next);
  });
  now += ageMs;
  expect(await plans.wait('a', ENOUGH, async () => 'a new plan')).toEqual({ plan });
});

test('another call starts its own plan', async () => {
  const plans = new SlowPlans<string>();
  const { start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  expect(await plans.wait('b', ENOUGH, async () => 'another')).toEqual({ plan: 'another' });
});

test('a plan that fails in the meantime fails the same call again', async () => {
  const plans = new SlowPlans<string>();
  const { resolve, start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  resolve(() => {
    throw new Error('the server refused');
  });
  await expect(plans.wait('a', ENOUGH, start)).rejects.toThrow('the server refused');
});

test('a call that is cancelled ends its plan, also one that it continued to wait for', async () => {
  const plans = new SlowPlans<string>();
  const { signals, resolve, start } = slowPlan();
  await plans.wait('a', NO_TIME, start);
  expect(signals[0]?.aborted).toBe(false);
  const cancel = new AbortController();
  const waiting = plans.wait('a', call(60_000, cancel.signal), start);
  cancel.abort();
  expect(signals[0]?.aborted).toBe(true);
  resolve(() => 'too late');
  await waiting;
});

test('one plan goes on: the next one ends it', async () => {
  const plans = new SlowPlans<string>();
  const [first, second] = [slowPlan(), slowPlan()];
  await plans.wait('a', NO_TIME, first.start);
  await plans.wait('b', NO_TIME, second.start);
  expect([first, second].map(({ signals }) => signals[0]?.aborted)).toEqual([true, false]);
});

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
