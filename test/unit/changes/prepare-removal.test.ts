import { createHash } from 'node:crypto';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { DeleteByName, DeleteRequest } from '../../../src/core/change.ts';
import { FILES, idleFleet, printedJson, rewritten, setUpChanges, SHORT_MS } from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const byName = (kind: DeleteByName['kind'], name: string, instance?: number): DeleteByName => ({
  tool: 'delete',
  kind,
  name,
  instance,
});
const byFile = (file: string): DeleteRequest => ({ tool: 'delete', file });

const GATEWAY = printedJson({ id: 'g1', name: 'lab-gw', status: 'running' });
const fleetOf = (...instances: readonly { instance_num: number; status: string }[]): Output =>
  printedJson({ id: 'f1', name: 'lab-cloud', status: 'active', instances });

function withResources(reads: Record<string, Output>) {
  const changes = setUpChanges({ timeoutMs: SHORT_MS });
  changes.world.reads = reads;
  return changes;
}

test('a fleet is deleted with its instances, and the person types its name', async () => {
  const changes = withResources({ 'fleet get': idleFleet() });
  const report = await changes.preview(byName('fleet', 'lab-cloud'), { canShowCard: true });
  expect(report).toMatchObject({
    outcome: 'done',
    facts: { operation: 'delete', resource: { kind: 'fleet', name: 'lab-cloud' }, status: 'active', project: 'lab' },
    card: {
      nameToType: 'lab-cloud',
      summary: {
        action: 'Delete fleet lab-cloud',
        losses: ['fleet lab-cloud, now active', '1 instance: lab-cloud-0 (idle)'],
      },
    },
  });
  expect(report.summary).toContain('Nothing was deleted yet.');
  // What dstack prints about it is shown as well.
  expect(report.printed[0]?.transcript.command).toContain('fleet --project lab get');
});

test.each<[string, DeleteByName, Output, string]>([
  ['a fleet', byName('fleet', 'lab-cloud'), 'fleet-get', 'fleet lab-cloud (busy: lab-cloud-0)'],
  [
    'one of its instances',
    byName('instance', 'lab-cloud', 1),
    fleetOf({ instance_num: 0, status: 'idle' }, { instance_num: 1, status: 'busy' }),
    'instance 1 of fleet lab-cloud (busy: lab-cloud-1)',
  ],
  [
    'a volume',
    byName('volume', 'lab-vol'),
    rewritten('volume-get', ['"attachments": []', '"attachments": [{}]']),
    'volume lab-vol',
  ],
])(
  '%s that is in use gets no token, but the way out: dstack refuses to delete it',
  async (_what, request, get, what) => {
    const changes = withResources({ [`${request.kind === 'volume' ? 'volume' : 'fleet'} get`]: get });
    const report = await changes.preview(request);
    expect(report).toMatchObject({
      outcome: 'blocked',
      summary: `Runs are using ${what}: dstack refuses to delete what is in use. Nothing was deleted.`,
      facts: { operation: 'delete', status: 'active' },
      next: expect.stringMatching(/ps .*stop them first/),
    });
    expect(report.facts).not.toHaveProperty('token');
  },
);

test('an idle fleet lists its instances, and an empty one has none to lose', async () => {
  const idle = withResources({
    'fleet get': fleetOf({ instance_num: 0, status: 'idle' }, { instance_num: 3, status: 'idle' }),
  });
  const { card } = await idle.preview(byName('fleet', 'lab-cloud'), { canShowCard: true });
  expect(card?.summary.losses).toEqual([
    'fleet lab-cloud, now active',
    '2 instances: lab-cloud-0 (idle), lab-cloud-3 (idle)',
  ]);
  const empty = withResources({ 'fleet get': printedJson({ id: 'f1', name: 'lab-cloud' }) });
  const report = await empty.preview(byName('fleet', 'lab-cloud'), { canShowCard: true });
  expect(report.card?.summary.losses).toEqual(['fleet lab-cloud']);
  expect(report.facts).not.toHaveProperty('status');
});

test('one instance of a fleet is deleted by its number, and no other', async () => {
  const changes = withResources({
    'fleet get': fleetOf({ instance_num: 0, status: 'idle' }, { instance_num: 1, status: 'busy' }),
  });
  changes.world.changes = { 'fleet delete': 'fleet-delete-instance' };
  const report = await changes.preview(byName('instance', 'lab-cloud', 0), { canShowCard: true });
  expect(report.card?.summary).toMatchObject({
    action: 'Delete instance 0 of fleet lab-cloud',
    resource: { kind: 'instance', name: 'lab-cloud' },
    losses: ['fleet lab-cloud, now active', '1 instance: lab-cloud-0 (idle)'],
  });
  await changes.redeem(await changes.mint(byName('instance', 'lab-cloud', 0)));
  expect(changes.changed().map(({ argv }) => argv)).toEqual([
    ['fleet', 'delete', '--yes', '--instance', '0', 'lab-cloud'],
  ]);
});

test('an instance that is not there is refused with the numbers of those that are', async () => {
  const changes = withResources({ 'fleet get': 'fleet-get' });
  expect(await refusal(changes.preview(byName('instance', 'lab-cloud', 7)))).toMatchObject({
    code: 'invalid-value',
    message: 'Fleet lab-cloud has no instance 7. Nothing was deleted.',
    hint: 'Pass one of these as `instance`: 0.',
  });
  const empty = withResources({ 'fleet get': fleetOf() });
  expect(await refusal(empty.preview(byName('instance', 'lab-cloud', 0)))).toMatchObject({
    hint: 'It has no instances: fleet shows its state.',
  });
});

test('an instance that has become busy since the plan is not deleted', async () => {
  const changes = withResources({ 'fleet get': fleetOf({ instance_num: 0, status: 'idle' }) });
  const token = await changes.mint(byName('fleet', 'lab-cloud'));
  changes.world.reads['fleet get'] = fleetOf({ instance_num: 0, status: 'busy' });
  expect(await refusal(changes.redeem(token))).toMatchObject({
    code: 'plan-changed',
    message: expect.stringContaining('busy: lab-cloud-0'),
  });
  expect(changes.changed()).toEqual([]);
});

test('a volume is deleted with its data', async () => {
  const changes = withResources({ 'volume get': 'volume-get' });
  const { card } = await changes.preview(byName('volume', 'lab-vol'), { canShowCard: true });
  expect(card).toMatchObject({
    nameToType: 'lab-vol',
    summary: { action: 'Delete volume lab-vol', losses: ['volume lab-vol, now active: the data on it is lost'] },
  });
});

test('a gateway is deleted by its name', async () => {
  const changes = withResources({ 'gateway get': GATEWAY });
  const { card } = await changes.preview(byName('gateway', 'lab-gw'), { canShowCard: true });
  expect(card?.summary).toMatchObject({ action: 'Delete gateway lab-gw', losses: ['gateway lab-gw, now running'] });
});

test.each<[string, string, Output, string, string]>([
  ['fleet', 'fleet.dstack.yml', idleFleet(), 'lab-cloud', 'fleet-delete-instance'],
  ['volume', 'vol.dstack.yml', 'volume-get', 'lab-vol', 'volume-delete'],
  ['gateway', 'gw.dstack.yml', GATEWAY, 'lab-gw', 'volume-delete'],
])(
  'a %s is deleted by its file as by its name, whatever else the file says',
  async (kind, file, get, name, printed) => {
    const changes = withResources({ [`${kind} get`]: get });
    changes.world.changes = { [`${kind} delete`]: printed };
    const token = await changes.mint(byFile(file));
    changes.write(file, `${Object.values(FILES).find((text) => text.includes(`name: ${name}\n`))}# more\n`);
    await changes.redeem(token);
    expect(changes.changed().map(({ argv }) => argv)).toEqual([[kind, 'delete', '--yes', name]]);
  },
);

test('a finished run is deleted by its file, from the bytes that the token binds', async () => {
  const changes = withResources({ 'run get': 'run-get-stopped' });
  changes.world.changes = { delete: 'delete-run' };
  const report = await changes.preview(byFile('task.dstack.yml'), { canShowCard: true });
  expect(report).toMatchObject({
    facts: { resource: { kind: 'run', name: 'lab-task' }, status: 'terminated' },
    card: { nameToType: 'lab-task', summary: { action: 'Delete run lab-task' } },
  });
  expect(report.card?.summary.losses).toEqual([
    'run lab-task, now terminated: dstack marks it as deleted, and neither it nor its log can be found by name',
  ]);
  await changes.redeem(await changes.mint(byFile('task.dstack.yml')));
  const file = path.join(changes.folder, 'task.dstack.yml');
  const [command] = changes.changed();
  expect(command?.argv).toEqual(['delete', '--file', 'task.dstack.yml', '--yes']);
  expect(command?.options).toMatchObject({
    cwd: changes.folder,
    pinnedFile: { path: file, bytes: Buffer.from(FILES['task.dstack.yml']) },
  });
  expect(changes.audited[0]?.files).toEqual({
    [file]: createHash('sha256').update(FILES['task.dstack.yml']).digest('hex'),
  });
});

test('a file that was edited after the plan deletes nothing', async () => {
  const changes = withResources({ 'run get': 'run-get-stopped' });
  const token = await changes.mint(byFile('task.dstack.yml'));
  changes.write('task.dstack.yml', `${FILES['task.dstack.yml']}# edited\n`);
  expect(await refusal(changes.redeem(token))).toMatchObject({
    code: 'plan-changed',
    message: expect.stringContaining('task.dstack.yml was edited'),
  });
  expect(changes.changed()).toEqual([]);
});

test('a run that is not finished is not deleted, and there is no token', async () => {
  const report = await withResources({ 'run get': 'run-get-running' }).preview(byFile('task.dstack.yml'));
  expect(report).toMatchObject({
    outcome: 'blocked',
    summary: 'Run lab-task is running: dstack deletes only finished runs. Nothing was deleted.',
    facts: { operation: 'delete', status: 'running' },
    next: expect.stringContaining('stop'),
  });
  expect(report.facts).not.toHaveProperty('token');
});

test('a file without a name is refused: it does not say what to delete', async () => {
  const changes = withResources({});
  expect(await refusal(changes.preview(byFile('unnamed.dstack.yml')))).toMatchObject({
    code: 'invalid-file',
    message: expect.stringContaining('Nothing was deleted.'),
  });
  expect(changes.ran).toEqual([]);
});

test.each<[DeleteByName['kind'], Output, string]>([
  ['fleet', 'fleet-get-not-found', 'fleet lists the fleets.'],
  ['instance', 'fleet-get-not-found', 'fleet lists the fleets.'],
  ['volume', 'volume-get-not-found', 'list with type "volumes" returns the names.'],
  ['gateway', 'gateway-get-not-found', 'list with type "gateways" returns the names.'],
])('an unknown %s is refused with the tool that lists them', async (kind, output, hint) => {
  const command = `${kind === 'instance' ? 'fleet' : kind} get`;
  const changes = withResources({ [command]: output });
  expect(await refusal(changes.preview(byName(kind, 'no-such', kind === 'instance' ? 0 : undefined)))).toMatchObject({
    code: 'invalid-name',
    message: expect.stringMatching(/^There is no \w+ no-such\. Nothing was deleted\.$/),
    hint,
  });
});

test('an unknown run of a file is refused', async () => {
  const changes = withResources({ 'run get': 'run-get-not-found' });
  expect(await refusal(changes.preview(byFile('task.dstack.yml')))).toMatchObject({
    code: 'invalid-name',
    hint: 'ps with `all` lists the runs.',
  });
});

test('names of instances that dstack printed reach the card without what could move a terminal', async () => {
  const changes = withResources({
    'fleet get': rewritten('fleet-get', ['"status": "busy"', '"status": "bu\\u001b[2Jsy"']),
  });
  const { card } = await changes.preview(byName('fleet', 'lab-cloud'), { canShowCard: true });
  expect(card?.summary.losses.join()).not.toContain('\u001b');
});
