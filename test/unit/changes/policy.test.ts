import { expect, test } from 'vitest';
import type { ChangeRequest } from '../../../src/core/change.ts';
import { configOf, idleFleet, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { ChangesOptions, Output } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const READS: Record<string, Output> = {
  apply: 'plan-task-create',
  'run get': 'run-get-running',
  'fleet get': idleFleet(),
  'volume get': 'volume-get',
};

function governed(policy: string, reads: Record<string, Output> = {}, options: ChangesOptions = {}) {
  const changes = setUpChanges({ ...options, policy });
  changes.world.reads = { ...READS, ...reads };
  return changes;
}

const APPLY: ChangeRequest = { tool: 'apply', file: 'task.dstack.yml' };
const STOP: ChangeRequest = { tool: 'stop', run: 'lab-task', abort: false };
const DELETE: ChangeRequest = { tool: 'delete', kind: 'fleet', name: 'lab-cloud' };
const CHANGES: [string, ChangeRequest][] = [
  ['apply', APPLY],
  ['stop', STOP],
  ['delete', DELETE],
];

test.each(CHANGES)('%s is allowed in a project of the policy, and refused in another one', async (_tool, request) => {
  expect((await governed('projects: [lab]').preview(request)).facts).toHaveProperty('token');
  const changes = governed('projects: [lab]', {
    apply: rewritten('plan-task-create', ['Project        lab ', 'Project        prod']),
  });
  expect(await refusal(changes.preview({ ...request, project: 'prod' }))).toMatchObject({
    code: 'policy',
    message: expect.stringMatching(/projects lab, not prod/),
  });
});

test.each(CHANGES)('%s without a project is checked in the default project of dstack', async (_tool, request) => {
  const changes = governed('projects: [lab]', {
    apply: rewritten('plan-task-create', ['Project        lab ', 'Project        prod']),
  });
  changes.world.config = { ...changes.world.config, defaultProject: 'prod' };
  expect(await refusal(changes.preview(request))).toMatchObject({ code: 'policy' });
});

test.each(CHANGES)("%s without a project is checked in the setting's project", async (_tool, request) => {
  const changes = governed(
    'projects: [lab]',
    { apply: rewritten('plan-task-create', ['Project        lab ', 'Project        prod']) },
    { defaultProject: 'prod' },
  );
  expect(await refusal(changes.preview(request))).toMatchObject({ code: 'policy' });
});

test('a plan that dstack makes for another project than the requested one is checked in that project', async () => {
  const changes = governed('projects: [lab]', {
    apply: rewritten('plan-task-create', ['Project        lab ', 'Project        prod']),
  });
  expect(await refusal(changes.preview({ ...APPLY, project: 'lab' }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('not prod'),
  });
});

test('a project that is not allowed is refused before dstack runs, be it requested or the default one', async () => {
  for (const [, request] of CHANGES) {
    const changes = governed('projects: [lab]');
    await refusal(changes.preview({ ...request, project: 'prod' }));
    changes.world.config = configOf('prod', 'lab');
    await refusal(changes.preview(request));
    expect(changes.ran).toEqual([]);
  }
});

test('a type that is not allowed is refused before dstack runs', async () => {
  const changes = governed('types: [fleet]');
  expect(await refusal(changes.preview(APPLY))).toMatchObject({
    code: 'policy',
    message: expect.stringMatching(/fleet, not task/),
  });
  expect(changes.ran).toEqual([]);
});

test.each<[string, ChangeRequest, string, Record<string, Output>]>([
  ['create', APPLY, 'update', {}],
  ['update', APPLY, 'create', { apply: 'plan-task-update' }],
  ['replace', APPLY, 'create, update', { apply: 'plan-task-replace' }],
  ['stop', STOP, 'abort', {}],
  ['abort', { ...STOP, abort: true }, 'stop', {}],
  ['delete', DELETE, 'stop', {}],
])('an operation that is not allowed is refused: %s', async (operation, request, others, reads) => {
  expect(await refusal(governed(`operations: [${others}]`, reads).preview(request))).toMatchObject({
    code: 'policy',
    message: expect.stringMatching(new RegExp(`not allow .*${operation}`)),
  });
  expect((await governed(`operations: [${operation}]`, reads).preview(request)).facts).toHaveProperty('token');
});

test.each<[string, ChangeRequest, Record<string, Output>]>([
  ['updated', APPLY, { apply: 'plan-task-update' }],
  ['replaced', APPLY, { apply: 'plan-task-replace' }],
  ['stopped', STOP, {}],
  ['deleted by name', DELETE, {}],
  ['deleted by file', { tool: 'delete', file: 'fleet.dstack.yml' }, {}],
  ['deleted as a run', { tool: 'delete', file: 'task.dstack.yml' }, { 'run get': 'run-get-stopped' }],
])('what is protected is never %s', async (_what, request, reads) => {
  expect(await refusal(governed('protected: [LAB-*]', reads).preview(request))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('protected'),
  });
  expect((await governed('protected: [prod-*]', reads).preview(request)).facts).toHaveProperty('token');
});

test('an instance of a protected fleet is protected', async () => {
  const request: ChangeRequest = { tool: 'delete', kind: 'instance', name: 'lab-cloud', instance: 0 };
  expect(await refusal(governed('protected: [lab-cloud]').preview(request))).toMatchObject({ code: 'policy' });
});

test('dstack is restricted to the allowed backends and regions, and the person sees that', async () => {
  const changes = governed('backends: [cloudrift]\nregions: [us-east-nc-nr-1, eu-1]');
  const { card } = await changes.preview(
    { ...APPLY, extraFlags: { '--region': 'us-east-nc-nr-1' } },
    { canShowCard: true },
  );
  expect(changes.ran[0]?.argv.join(' ')).toBe(
    'apply --file task.dstack.yml --backend cloudrift --region us-east-nc-nr-1',
  );
  expect(card?.summary.flags).toEqual([
    expect.stringMatching(/^--backend cloudrift/),
    expect.stringMatching(/^--region us-east-nc-nr-1/),
  ]);
});

test('a pattern is expanded into the backends that dstack knows, and never judged by the offers that it shows', async () => {
  const changes = governed('backends: ["cloud*"]');
  expect(await refusal(changes.preview(APPLY))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('cloud*'),
  });
  expect(changes.ran).toEqual([]);
  changes.world.schemas = {
    version: '0.22.5',
    configuration: { $defs: { BackendType: { enum: ['aws', 'cloudrift', 'gcp'] } } },
    profiles: {},
  };
  expect((await changes.preview({ ...APPLY, extraFlags: { '--max-offers': 1 } })).facts).toHaveProperty('token');
  expect(changes.ran[0]?.argv.join(' ')).toContain('--backend cloudrift');
});

test('a pattern of regions is refused unless the call or the file names regions', async () => {
  const changes = governed('regions: ["us-*"]');
  expect(await refusal(changes.preview(APPLY))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('us-*'),
  });
  expect(changes.ran).toEqual([]);
  const named: ChangeRequest = { ...APPLY, extraFlags: { '--region': ['us-east-nc-nr-1', 'eu-1'] } };
  expect((await changes.preview(named)).facts).toHaveProperty('token');
  expect(changes.ran[0]?.argv.join(' ')).toBe('apply --file task.dstack.yml --region us-east-nc-nr-1');
});

test('a place that dstack shows although it was restricted is refused', async () => {
  const named: ChangeRequest = { ...APPLY, extraFlags: { '--region': 'eu-1' } };
  expect(await refusal(governed('regions: ["eu-*"]').preview(named))).toMatchObject({
    code: 'policy',
    message: expect.stringMatching(/regions eu-\*, not us-east-nc-nr-1/),
  });
});

test('a fleet has to name its places in its file', async () => {
  const changes = governed('backends: [cloudrift]', { apply: 'plan-fleet-create' });
  expect((await changes.preview({ tool: 'apply', file: 'fleet.dstack.yml' })).facts).toHaveProperty('token');
  changes.write('open.dstack.yml', 'type: fleet\nname: lab-cloud\nnodes: 0..4\n');
  expect(await refusal(changes.preview({ tool: 'apply', file: 'open.dstack.yml' }))).toMatchObject({ code: 'policy' });
  expect(changes.ran).toHaveLength(1);
});

test.each(['-b', '--back', '--backends'])('the flag %s cannot add a backend', async (flag) => {
  const changes = governed('backends: [cloudrift]');
  const { code } = await refusal(changes.preview({ ...APPLY, extraFlags: { [flag]: 'aws' } }));
  expect(code).toMatch(/flag/);
  expect(changes.ran).toEqual([]);
});

test('a volume and a gateway are checked by the backend and the region of their file', async () => {
  const volume = (policy: string) =>
    governed(policy, { apply: 'plan-volume-create' }).preview({ tool: 'apply', file: 'vol.dstack.yml' });
  expect((await volume('backends: [runpod]\nregions: [EU-RO-1]')).facts).toHaveProperty('token');
  expect(await refusal(volume('backends: [aws]'))).toMatchObject({ code: 'policy' });
  expect(await refusal(volume('regions: [eu-west-1]'))).toMatchObject({ code: 'policy' });
  const gateway = governed('regions: [eu-west-1]', { apply: 'plan-gateway-create' });
  gateway.write('gw.dstack.yml', 'type: gateway\nname: lab-gw\nbackend: aws\nregion: [eu-west-1]\n');
  expect((await refusal(gateway.preview({ tool: 'apply', file: 'gw.dstack.yml' }))).message).toMatch(
    /regions eu-west-1, not .*known/,
  );
});

test("a flag of the operator's list may be given by the model", async () => {
  const request: ChangeRequest = { ...APPLY, extraFlags: { '--env': ['A=1'] } };
  expect(await refusal(governed('max_price: 9').preview(request))).toMatchObject({ code: 'forbidden-flag' });
  expect((await governed('flags: [--env]').preview(request)).facts).toHaveProperty('token');
});

test('while the policy file is not valid nothing is planned, and dstack is not run', async () => {
  const changes = governed('max_price: 9');
  changes.writePolicy('max_prise: 9');
  for (const [, request] of CHANGES) {
    expect(await refusal(changes.preview(request))).toMatchObject({ code: 'policy-broken' });
  }
  expect(changes.ran).toEqual([]);
});

test('one plan follows one reading of the policy: an edit takes effect with the next one', async () => {
  const changes = governed('operations: [create]');
  changes.world.reads['apply'] = () => {
    changes.writePolicy('operations: [delete]');
    return rewritten('plan-task-create');
  };
  expect((await changes.preview(APPLY)).facts).toHaveProperty('token');
  expect(await refusal(changes.preview(APPLY))).toMatchObject({ code: 'policy' });
});
