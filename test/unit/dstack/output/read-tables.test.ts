import { expect, test } from 'vitest';
import { readFleets, readRuns } from '../../../../src/dstack/output/read-listings.ts';
import { readGpuGroups, readOffers } from '../../../../src/dstack/output/read-offers.ts';

/** A table as dstack prints it: one space before, two between its columns. */
function table(...rows: readonly (readonly string[])[]): string {
  const width = (column: number): number => Math.max(...rows.map((row) => (row[column] ?? '').length));
  return rows.map((row) => ` ${row.map((cell, column) => cell.padEnd(width(column))).join('  ')} `).join('\n');
}

test('an SSH fleet has its hosts, without a price or region', () => {
  const read = readFleets(
    table(
      ['NAME', 'NODES', 'BACKEND', 'GPU', 'SPOT', 'PRICE', 'STATUS', 'CREATED', 'ERROR'],
      ['on-prem', '2', 'ssh', '-', '-', '-', 'active', '2 days ago', ''],
      ['   instance=0', '', 'ssh (remote)', 'gpu=L4:24GB:1', 'on-demand', '$0', 'idle', '2 days ago', ''],
      ['   instance=1', '', '', '', 'spot', '', 'terminated', '-', 'no disk'],
    ),
  );
  expect(read).toEqual([
    {
      name: 'on-prem',
      status: 'active',
      nodes: '2',
      backend: 'ssh',
      created: '2 days ago',
      instances: [
        {
          instance: 0,
          status: 'idle',
          backend: 'ssh',
          region: 'remote',
          gpu: 'L4:24GB:1',
          spot: false,
          pricePerHour: 0,
          created: '2 days ago',
        },
        { instance: 1, status: 'terminated', spot: true, error: 'no disk' },
      ],
    },
  ]);
});

test('another table is not a list of fleets, and an instance without a fleet before it is skipped', () => {
  expect(readFleets(table(['NAME', 'STATUS'], ['x', 'active']))).toBeUndefined();
  expect(readFleets('nothing here')).toBeUndefined();
  const header = ['NAME', 'NODES', 'STATUS'];
  expect(readFleets(table(header, ['   instance=0', '', 'idle'], ['cloud', '0..1', 'active']))).toEqual([
    { name: 'cloud', nodes: '0..1', status: 'active', instances: [] },
  ]);
});

test('a fleet of another version may lack columns', () => {
  expect(readFleets(table(['NAME', 'NODES', 'RESOURCES'], ['cloud', '-', 'cpu=2 gpu=A100:80GB:8']))).toEqual([
    { name: 'cloud', status: '', gpu: 'A100:80GB:8', instances: [] },
  ]);
});

test('the GPU of a run is read from its resources if there is no GPU column', () => {
  const rows = readRuns(
    table(
      ['NAME', 'BACKEND', 'RESOURCES', 'INSTANCE TYPE', 'PRICE', 'STATUS', 'SUBMITTED', 'ERROR'],
      ['train', 'aws (eu-1)', 'cpu=2 gpu=T4:16GB:1', 'g4', '$1.5 (spot)', 'running', '1 min ago', '-'],
      ['   replica=0', '-', '', '-', '-', 'running', '-', 'oom'],
      ['   replica=1', '-', '', '-', '-', 'failed', '-', ''],
    ),
  );
  expect(rows).toMatchObject([
    {
      name: 'train',
      backend: 'aws',
      region: 'eu-1',
      gpu: 'T4:16GB:1',
      pricePerHour: 1.5,
      jobs: [
        { label: 'replica=0', status: 'running', error: 'oom' },
        { label: 'replica=1', status: 'failed' },
      ],
    },
  ]);
});

test('offers can have a separate region column and an unknown availability', () => {
  const read = readOffers(
    table(
      ['#', 'BACKEND', 'REGION', 'INSTANCE', 'RESOURCES', 'SPOT', 'PRICE', ''],
      ['1', 'aws', 'eu-1', 'g4', 'cpu=2', 'yes', '$1', 'sold out'],
      ['2', 'aws', '', 'g5', 'cpu=2', 'no', '$2', ''],
    ).split('\n'),
  );
  expect(read?.offers).toMatchObject([
    { backend: 'aws', region: 'eu-1', spot: true, availability: 'unclear' },
    { backend: 'aws', instanceType: 'g5', spot: false, availability: 'available' },
  ]);
  expect(read?.offers[1]).not.toHaveProperty('region');
});

test('groups of offers without a price are skipped, and another table has none', () => {
  const header = ['GPU', 'SPOT', '$/GPU', 'BACKEND', 'REGION', ''];
  expect(
    readGpuGroups(
      table(
        header,
        ['A100:80GB:1', 'spot, on-demand', '1.5..3', 'aws', 'eu-1', 'not available'],
        ['H100:80GB:1', '', 'unknown', 'aws', 'eu-1', ''],
      ),
    ),
  ).toEqual([
    {
      gpu: 'A100:80GB:1',
      pricePerGpuMin: 1.5,
      pricePerGpuMax: 3,
      backends: 'aws',
    },
  ]);
  expect(readGpuGroups(table(['NAME', 'GPU'], ['x', 'y']))).toEqual([]);
  expect(readGpuGroups('no table')).toEqual([]);
});
