import { expect, test } from 'vitest';
import type { ChangeRequest } from '../../../src/core/change.ts';
import type { Transcript, WireEvent } from '../../../src/core/transcript.ts';
import { readFixture } from '../../support/read-fixture.ts';
import {
  CHOSEN_NAME,
  configOf,
  idleFleet,
  printedJson,
  rewritten,
  setUpChanges,
  SHORT_MS,
} from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const plannedBy = (path: string, sha256 = 'a'.repeat(64)): WireEvent => ({ event: 'plan', path, sha256, name: null });

/** Returns the event for what the plan or the look-up of a resource found. */
const found = (path: string, value: unknown = { id: 'x1', status: 'running' }): WireEvent => ({
  event: 'found',
  path,
  value,
});

/** A recorded plan, with the request by which dstack asked its server for it. */
const withPlan = (name: string, ...requests: readonly WireEvent[]): Transcript => ({ ...readFixture(name), requests });

/** A world in which the gate in dstack's process judges its requests. */
function judged(reads: Record<string, Output>) {
  const changes = setUpChanges({ timeoutMs: SHORT_MS });
  changes.world.reads = {
    'run get': 'run-get-running',
    'fleet get': idleFleet(),
    'volume get': 'volume-get',
    ...reads,
  };
  changes.world.changes = {
    apply: 'apply-task-created',
    stop: 'stop-stopped',
    delete: 'delete-run',
    'fleet delete': 'fleet-delete-instance',
    'volume delete': 'volume-delete',
  };
  return changes;
}

const apply = (file: string): ChangeRequest => ({ tool: 'apply', file });

const RULE = { server: 'http://127.0.0.1:3999', project: 'lab', credentials: [], archives: [] };

test.each<[string, ChangeRequest, Record<string, Output>, readonly unknown[]]>([
  [
    'the submission of the planned run',
    apply('task.dstack.yml'),
    { apply: withPlan('plan-task-create', plannedBy('runs/get_plan')) },
    [{ path: 'runs/apply', plan: { path: 'runs/get_plan', sha256: 'a'.repeat(64) } }],
  ],
  [
    'first the stop of the run that is replaced',
    apply('task.dstack.yml'),
    { apply: withPlan('plan-task-replace', plannedBy('runs/get_plan'), found('runs/get_plan')) },
    [
      { path: 'runs/stop', body: { runs_names: ['lab-task'], abort: false } },
      { path: 'runs/apply', plan: { path: 'runs/get_plan', sha256: 'a'.repeat(64) } },
    ],
  ],
  [
    'first the deletion of the fleet that is replaced',
    apply('fleet.dstack.yml'),
    { apply: withPlan('plan-fleet-replace', plannedBy('fleets/get_plan'), found('fleets/get_plan')) },
    [
      { path: 'fleets/delete', body: { names: ['lab-cloud'] } },
      { path: 'fleets/apply', plan: { path: 'fleets/get_plan', sha256: 'a'.repeat(64) } },
    ],
  ],
  [
    'the creation of a volume, for which dstack asks for no plan',
    apply('vol.dstack.yml'),
    { apply: withPlan('plan-volume-create') },
    [{ path: 'volumes/create', within: { configuration: { type: 'volume', name: 'lab-vol' } } }],
  ],
  [
    'the stop of one run',
    { tool: 'stop', run: 'lab-task', abort: false },
    {},
    [{ path: 'runs/stop', body: { runs_names: ['lab-task'], abort: false } }],
  ],
  [
    'the abort of one run',
    { tool: 'stop', run: 'lab-task', abort: true },
    {},
    [{ path: 'runs/stop', body: { runs_names: ['lab-task'], abort: true } }],
  ],
  [
    'the deletion of one volume',
    { tool: 'delete', kind: 'volume', name: 'lab-vol' },
    {},
    [{ path: 'volumes/delete', body: { names: ['lab-vol'] } }],
  ],
  [
    'the deletion of one instance',
    { tool: 'delete', kind: 'instance', name: 'lab-cloud', instance: 0 },
    {},
    [{ path: 'fleets/delete_instances', body: { name: 'lab-cloud', instance_nums: [0] } }],
  ],
  [
    'the deletion of one finished run',
    { tool: 'delete', file: 'task.dstack.yml' },
    { 'run get': 'run-get-stopped' },
    [{ path: 'runs/delete', body: { runs_names: ['lab-task'] } }],
  ],
])('dstack may send exactly this, in this order: %s', async (_what, request, reads, expected) => {
  const changes = judged(reads);
  await changes.redeem(await changes.mint(request));
  const [made] = changes.changed();
  expect(made?.changes).toEqual(expected);
  expect(made?.options.wire).toEqual({ ...RULE, handOver: request.tool === 'apply', asks: true });
});

test('a resource without a name may only be created with the name that was chosen for it', async () => {
  const changes = judged({ apply: withPlan('plan-gateway-unnamed') });
  changes.write('gw.dstack.yml', 'type: gateway\nbackend: aws\nregion: eu-west-1\n');
  changes.world.changes['apply'] = 'apply-gateway-create';
  await changes.redeem(await changes.mint(apply('gw.dstack.yml')));
  const [made] = changes.changed();
  const name = made?.argv[made.argv.indexOf('--name') + 1];
  expect(name).toMatch(CHOSEN_NAME);
  expect(made?.changes).toEqual([{ path: 'gateways/create', within: { configuration: { type: 'gateway', name } } }]);
});

test('what only reads may send no change, and only a plan may hand files over', async () => {
  const changes = judged({ apply: 'plan-task-update' });
  await changes.mint(apply('task.dstack.yml'));
  await changes.mint({ tool: 'stop', run: 'lab-task', abort: false });
  expect(changes.ran.map(({ command, options }) => [command, options.wire])).toEqual([
    ['apply', { ...RULE, handOver: true, asks: false }],
    ['run get', { ...RULE, handOver: false, asks: false }],
  ]);
});

test('where the server is not known, nothing may be sent to any', async () => {
  const changes = judged({ apply: withPlan('plan-task-create', plannedBy('runs/get_plan')) });
  changes.world.config = { ...configOf(), projects: [{ name: 'lab', url: undefined }] };
  await changes.mint(apply('task.dstack.yml'));
  expect(changes.ran[0]?.options.wire).toMatchObject({ server: null, project: null });
});

test('a plan that dstack asked for in an unknown way gets no token', async () => {
  const report = await judged({ apply: withPlan('plan-task-create') }).preview(apply('task.dstack.yml'));
  expect(report).toMatchObject({ outcome: 'unknown', facts: { operation: 'create' } });
  expect(report.summary).toContain("doesn't recognize the requests");
  expect(report.facts).not.toHaveProperty('token');
});

test('a specification that differs from the planned one refuses the change', async () => {
  const changes = judged({ apply: withPlan('plan-task-create', plannedBy('runs/get_plan')) });
  const token = await changes.mint(apply('task.dstack.yml'));
  changes.world.reads['apply'] = withPlan('plan-task-create', plannedBy('runs/get_plan', 'b'.repeat(64)));
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
});

test.each<ChangeRequest>([apply('task.dstack.yml'), { tool: 'delete', file: 'task.dstack.yml' }])(
  'a file that dstack reads differently is refused before dstack runs: %o',
  async (request) => {
    const changes = judged({});
    changes.world.loads = { value: { type: 'task', name: 'other' } };
    expect(await refusal(changes.preview(request))).toMatchObject({ code: 'invalid-file' });
    expect(changes.ran).toEqual([]);
  },
);

test('a gateway that the server plans is applied by that plan', async () => {
  const changes = judged({
    apply: withPlan('plan-gateway-update', plannedBy('gateways/get_plan'), found('gateways/get_plan')),
    'gateway get': printedJson({ id: 'g1', status: 'running' }),
  });
  changes.world.changes['apply'] = rewritten('apply-gateway-update');
  await changes.redeem(await changes.mint(apply('gw.dstack.yml')));
  expect(changes.changed()[0]?.changes).toMatchObject([{ path: 'gateways/apply' }]);
});
