import { expect, test } from 'vitest';
import { CommandFailed } from '../../../../src/core/report.ts';
import { findResource, kindOf, readLookUp } from '../../../../src/dstack/client/find-resource.ts';
import type { ResourceKind } from '../../../../src/dstack/client/find-resource.ts';
import { readFixture } from '../../../support/read-fixture.ts';
import { printedJson, setUpChanges } from '../../../support/set-up-changes.ts';
import type { Output } from '../../../support/set-up-changes.ts';
import { refusal } from '../../../support/set-up-gate.ts';

function find(
  kind: ResourceKind,
  output: Output,
  { name = 'lab-x', project }: { name?: string; project?: string } = {},
) {
  const changes = setUpChanges();
  changes.world.reads = { [`${kind} get`]: output };
  return { changes, found: findResource(changes.openDstack(), { kind, name, project }) };
}

test.each([
  ['task', 'run'],
  ['service', 'run'],
  ['dev-environment', 'run'],
  ['fleet', 'fleet'],
  ['volume', 'volume'],
  ['gateway', 'gateway'],
])('a configuration of the type %s makes a %s', (type, kind) => {
  expect(kindOf(type)).toBe(kind);
});

test.each<[ResourceKind, string, Output, string, string]>([
  ['run', 'lab-task', 'run-get-running', 'da47bb13-9d5b-40ec-9569-f1691f5ed34c', 'running'],
  ['fleet', 'lab-cloud', 'fleet-get', 'ec5a92de-ea2c-492c-b106-37b4a3fd8dd4', 'active'],
  ['volume', 'lab-vol', 'volume-get', '14a7e5f1-153d-4962-be0e-75901e0da132', 'active'],
  ['gateway', 'lab-x', printedJson({ id: 'g1', name: 'lab-x', status: 'running' }), 'g1', 'running'],
])('a %s is found with its id and state', async (kind, name, output, id, status) => {
  const { changes, found } = find(kind, output, { name, project: 'lab' });
  expect(await found).toMatchObject({ id, name, status, value: { id } });
  expect(changes.ran[0]?.argv).toEqual([kind, '--project', 'lab', 'get', '--json', name]);
});

test.each<[string, ResourceKind, object, string | undefined]>([
  ['another run', 'run', { run_spec: { run_name: 'lab-y' } }, undefined],
  ['another fleet', 'fleet', { name: 'lab-y' }, undefined],
  ['the run of another project', 'run', { run_spec: { run_name: 'lab-x' }, project_name: 'prod' }, 'lab'],
  ['the run of another project than the default one', 'run', { project_name: 'prod' }, undefined],
])('%s than the wanted one is not understood', async (_what, kind, more, project) => {
  const value = { id: 'x1', status: 'running', ...more };
  const { found } = find(kind, printedJson(value), project === undefined ? {} : { project });
  expect(await refusal(found)).toMatchObject({ code: 'cli-not-understood', message: expect.stringContaining('lab-x') });
  const requests = [{ event: 'found', path: `${kind}s/get`, value }] as const;
  expect(readLookUp({ requests }, { kind, name: 'lab-x', project: 'lab' })).toBeUndefined();
});

test('a resource without a state is found without one', async () => {
  expect(await find('gateway', printedJson({ id: 'g1', status: null })).found).toMatchObject({ status: undefined });
});

test.each<[ResourceKind, Output]>([
  ['run', 'run-get-not-found'],
  ['fleet', 'fleet-get-not-found'],
  ['volume', 'volume-get-not-found'],
  ['gateway', 'gateway-get-not-found'],
])('a %s that is not there is undefined, and may be looked for again', async (kind, output) => {
  const { changes, found } = find(kind, output);
  expect(await found).toBeUndefined();
  expect(await findResource(changes.openDstack(), { kind, name: 'lab-x', project: undefined })).toBeUndefined();
});

test.each<[ResourceKind, string]>([
  ['run', 'Project lab not found'],
  ['run', 'Fleet lab-x not found'],
  ['fleet', 'Project lab does not exist'],
  ['volume', "Project 'lab' not found."],
  ['gateway', 'Job lab-x not found'],
])('a %s is not gone because of: %s', async (kind, stdout) => {
  await expect(find(kind, { ...readFixture('run-get-not-found'), stdout }).found).rejects.toThrow(CommandFailed);
});

test("where dstack can't be asked, the call ends with its words: that is not the same as not found", async () => {
  await expect(find('run', 'error-unreachable').found).rejects.toThrow(CommandFailed);
  await expect(find('run', 'error-token').found).rejects.toThrow(CommandFailed);
});

test.each([[{ name: 'lab-x' }], [[]], ['running'], [{ id: 7 }]])(
  'output without a resource is an error: %j',
  async (value) => {
    expect(await refusal(find('run', printedJson(value)).found)).toMatchObject({ code: 'cli-not-understood' });
  },
);

test('the last look-up counts, and none does if that one is unreadable', () => {
  const found = { event: 'found', path: 'runs/get', value: { id: 'r1' } } as const;
  const wanted = { kind: 'run', name: 'lab-x', project: 'lab' } as const;
  expect(readLookUp({ requests: [found] }, wanted)).toMatchObject({ id: 'r1' });
  const unreadable = { event: 'unreadable', path: 'runs/get' } as const;
  expect(readLookUp({ requests: [found, unreadable] }, wanted)).toBeUndefined();
  expect(readLookUp({ requests: [unreadable, found] }, wanted)).toMatchObject({ id: 'r1' });
});
