import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { isOver, lastSubmission, startTestSandbox } from '../../support/start-test-sandbox.ts';
import type { TestSandbox } from '../../support/start-test-sandbox.ts';

let sandbox: TestSandbox;
const gpu = { cpu: '1..', memory: '1GB..', disk: '1GB..', gpu: 'RTX4090:1' };

beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(async () => {
  await sandbox?.stop();
});

test('a run on the cloud rents a machine at its price and returns it immediately', async () => {
  sandbox.controls.cloud.cloudRift.bootMs = 300;
  const output = await sandbox.apply({
    type: 'task',
    name: 'rented',
    resources: gpu,
    commands: ['nvidia-smi', 'echo trained'],
  });
  expect(output).toMatch(/cloudrift \(us-east-nc-nr-1\) .* rtx4090\.1 +\$0\.39/);
  expect((await sandbox.waitFor('rented', isOver)).status).toBe('done');
  expect((await sandbox.dstack('logs', 'rented')).output).toContain('trained');
  const [instance] = sandbox.controls.cloud.instances;
  expect(instance?.offer).toMatchObject({ instanceType: 'rtx4090.1', dollarsPerHour: 0.39 });
  while (sandbox.controls.cloud.instances.some(({ status }) => status === 'Active')) await delay(50);
  sandbox.controls.cloud.cloudRift.bootMs = 0;
});

test('offers show a changed price and a sold-out instance type immediately', async () => {
  await sandbox.controls.cloud.setPrice('rtx5090.1', 7.5);
  await sandbox.controls.cloud.setAvailability('rtx4090.1', 0);
  const offers = await sandbox.dstack('offer', '--gpu', '24GB..32GB:1', '--backend', 'cloudrift');
  await sandbox.controls.cloud.reset();
  expect(offers.output).toMatch(/rtx5090\.1 +\$7\.5\b/);
  expect(offers.output).toMatch(/rtx4090\.1 .*not available/);
});

test('a run fails with no capacity when the cloud rejects the rental', async () => {
  sandbox.controls.cloud.cloudRift.rentFailure = 'all machines are taken';
  await sandbox.apply({ type: 'task', name: 'refused', resources: gpu, commands: ['echo never'] });
  const run = await sandbox.waitFor('refused', isOver);
  sandbox.controls.cloud.cloudRift.rentFailure = undefined;
  expect(run.status).toBe('failed');
  expect(lastSubmission(run).termination_reason).toBe('failed_to_start_due_to_no_capacity');
  expect(sandbox.controls.cloud.requests).toContainEqual(
    expect.objectContaining({ path: '/api/v1/instances/rent', status: 500 }),
  );
});

const volumes = z.array(z.object({ name: z.string(), status: z.string(), volume_id: z.string().nullish() }));

test('a network volume is created, listed and deleted', async () => {
  const listVolumes = async (): Promise<z.output<typeof volumes>> =>
    volumes.parse(await sandbox.request('/api/project/main/volumes/list'));
  const output = await sandbox.apply({
    type: 'volume',
    name: 'data',
    backend: 'runpod',
    region: 'EU-RO-1',
    size: '100GB',
  });
  expect(output).toContain('Volume configuration submitted.');
  while ((await listVolumes())[0]?.status !== 'active') await delay(50);
  const listed = await sandbox.dstack('volume');
  expect(listed.output).toMatch(/data +runpod.*active/);
  const deleted = await sandbox.dstack('volume', 'delete', 'data', '-y');
  expect(deleted.exitCode).toBe(0);
  while ((await listVolumes()).length > 0) await delay(50);
});

test('a registry image works, and the server sends requests to simulated hosts only', async () => {
  await sandbox.apply({ type: 'task', name: 'imaged', image: 'alpine', commands: ['echo in alpine'] });
  expect((await sandbox.waitFor('imaged', isOver)).status).toBe('done');
  const hosts = new Set(sandbox.controls.cloud.requests.map(({ host }) => host));
  expect([...hosts].sort()).toEqual(['api.cloudrift.ai', 'api.runpod.io', 'index.docker.io']);
});
