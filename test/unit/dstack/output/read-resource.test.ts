import { describe, expect, it } from 'vitest';
import { readResource, resourceFacts } from '../../../../src/dstack/output/read-resource.ts';

const COMMON = { id: '1', name: 'own', project_name: 'main', status: 'active', status_message: null };

describe('a fleet', () => {
  const fleet = (configuration: object, instances: readonly object[]) =>
    readResource('fleet', { ...COMMON, spec: { configuration }, instances });

  it('of SSH hosts is marked as such, and has no price if its hosts have none', () => {
    const read = fleet({ ssh_config: { user: 'ubuntu' } }, [{ status: 'idle', instance_num: 0, price: null }]);
    expect(read).toMatchObject({ kind: 'fleet', backend: 'ssh', instances: [{ instance: 0, status: 'idle' }] });
    expect(read).not.toHaveProperty('pricePerHour');
    expect(read).not.toHaveProperty('statusMessage');
  });

  it('has the total price of its remaining instances, and the reason why others ended', () => {
    const read = fleet({ nodes: { min: 0, max: 2 } }, [
      { instance_num: 0, status: 'busy', price: 0.1, job_name: 'train-0-0', unreachable: true },
      { instance_num: 1, status: 'idle', price: 0.2, unreachable: false },
      { instance_num: 2, status: 'terminated', price: 9, termination_reason: 'no_balance' },
      { status: 'terminated', price: 9, termination_reason: 'error', termination_reason_message: 'No disk' },
    ]);
    expect(resourceFacts.parse(read)).toMatchObject({
      nodesMin: 0,
      nodesMax: 2,
      pricePerHour: 0.3,
      instances: [
        { instance: 0, status: 'busy (unreachable)', pricePerHour: 0.1, job: 'train-0-0' },
        { instance: 1, status: 'idle' },
        { instance: 2, status: 'terminated', error: 'no_balance' },
        { instance: 0, status: 'terminated', error: 'No disk' },
      ],
    });
  });

  it('can have neither bounds nor instances', () => {
    expect(readResource('fleet', { ...COMMON, spec: { configuration: {} } })).toMatchObject({
      name: 'own',
      instances: [],
    });
  });

  it('without a name is rejected', () => {
    expect(() => readResource('fleet', { id: '1', status: 'active', spec: { configuration: {} } })).toThrow(/name/);
  });
});

describe('a volume', () => {
  it('lists the instances that it is attached to, except those without a fleet', () => {
    const attachments = [
      { instance: { fleet_name: 'gpu', instance_num: 2 } },
      { instance: { fleet_name: 'gpu', instance_num: null } },
      { instance: { fleet_name: null, instance_num: 1 } },
    ];
    const read = readResource('volume', {
      ...COMMON,
      configuration: { size: 100, backend: 'aws', region: 'eu' },
      attachments,
    });
    expect(read).toMatchObject({
      kind: 'volume',
      backend: 'aws',
      region: 'eu',
      sizeGb: 100,
      attachedTo: ['gpu-2', 'gpu-0'],
    });
  });

  it('has only the facts that dstack returns', () => {
    expect(
      readResource('volume', { id: '1', name: 'own', status: 'failed', configuration: {}, attachments: null }),
    ).toEqual({
      kind: 'volume',
      id: '1',
      name: 'own',
      status: 'failed',
      attachedTo: [],
    });
  });
});

describe('a gateway', () => {
  const gateway = (more: object) =>
    readResource('gateway', { ...COMMON, configuration: { backend: 'aws', region: 'eu' }, ...more });

  it.each([
    ['its own host name', { hostname: 'lb', replicas: [{ hostname: 'one' }], ip_address: '10.0.0.1' }, 'lb'],
    ["its replica's", { hostname: null, replicas: [{ hostname: 'one' }], ip_address: '10.0.0.1' }, 'one'],
    ['its address', { replicas: [], ip_address: '10.0.0.1' }, '10.0.0.1'],
  ])('has the hostname of %s', (_how, more, hostname) => {
    expect(gateway(more)).toMatchObject({ kind: 'gateway', hostname, backend: 'aws', region: 'eu' });
  });

  it('that is not running yet has no hostname', () => {
    const read = gateway({ wildcard_domain: '*.example.com', default: true });
    expect(read).toMatchObject({ domain: '*.example.com', isDefault: true });
    expect(read).not.toHaveProperty('hostname');
  });
});
