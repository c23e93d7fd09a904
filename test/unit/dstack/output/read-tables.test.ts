import { describe, expect, it, test } from 'vitest';
import { describeExcluded, readGpuGroups, readOffers } from '../../../../src/dstack/output/read-offers.ts';
import {
  limitInstances,
  readFleets,
  readMetrics,
  readRuns,
  readTable,
  selectRows,
  sumPrices,
} from '../../../../src/dstack/output/read-tables.ts';
import type { FleetRow } from '../../../../src/dstack/output/read-tables.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const lines = (fixture: string, version?: string): string[] => readFixture(fixture, version).stdout.split('\n');

describe('a limit of instances', () => {
  const fleet = (name: string, count: number): FleetRow => ({
    name,
    status: 'active',
    instances: Array.from({ length: count }, (_, instance) => ({ instance, status: 'idle' })),
  });

  it('counts for all fleets together, and each says how many it has if some are left out', () => {
    const limited = limitInstances([fleet('a', 2), fleet('b', 3), fleet('c', 1)], 4);
    expect(limited.map(({ instances, instancesTotal }) => [instances.length, instancesTotal])).toEqual([
      [2, undefined],
      [2, 3],
      [0, 1],
    ]);
  });

  it('leaves fewer alone', () => {
    const fleets = [fleet('a', 2), fleet('b', 0)];
    expect(limitInstances(fleets, 2)).toEqual(fleets);
  });
});

describe('the list of runs', () => {
  it('has the location, price and status of each run', () => {
    expect(readRuns(readFixture('ps-mixed').stdout)).toMatchObject([
      {
        name: 'lab-fail',
        status: 'exited (3)',
        backend: 'cloudrift',
        region: 'us-east-nc-nr-1',
        gpu: 'RTX4090:24GB:1',
        instanceType: 'rtx4090.1',
        pricePerHour: 0.39,
      },
      { name: 'lab-dev', status: 'stopped' },
      { name: 'lab-svc', status: 'stopped', jobs: [{ label: 'deployment=0', status: 'stopped', pricePerHour: 0.39 }] },
      { name: 'big', status: 'no capacity' },
      { name: 'lab-task', status: 'stopped' },
      { name: 'lab-task', status: 'stopped' },
    ]);
  });

  it('omits values that a run does not have', () => {
    expect(readRuns(readFixture('ps-last').stdout)).toEqual([{ name: 'big', status: 'no capacity', submitted: 'now' }]);
  });

  it('is empty without runs, and absent if the text is not such a list', () => {
    expect(readRuns('Run x not found\n')).toBeUndefined();
    expect(readRuns(' NAME  BACKEND  GPU  PRICE  STATUS  SUBMITTED \n')).toEqual([]);
  });
});

describe('a selection of runs by name', () => {
  it('keeps their rows verbatim with the jobs below them, and omits the others', () => {
    const { stdout } = readFixture('ps-mixed');
    const [header = ''] = stdout.split('\n');
    const rows = selectRows(stdout, 'lab-svc').split('\n');
    expect(rows[0]).toBe(header);
    expect(rows.slice(1).every((row) => row === '' || /^ +(?:lab-svc|deployment=)/.test(row))).toBe(true);
    expect(rows.length).toBeLessThan(stdout.split('\n').length);
    for (const row of rows) expect(stdout.split('\n')).toContain(row);
  });

  it('without a name keeps everything, and so does a text without a table', () => {
    const { stdout } = readFixture('ps-mixed');
    expect(selectRows(stdout, '')).toBe(stdout);
    expect(selectRows('nothing here\n', 'x')).toBe('nothing here\n');
  });
});

describe('the list of fleets', () => {
  it.each([['0.22.5'], ['0.20.29']])('of dstack %s has the instances of each fleet', (version) => {
    const [fleet] = readFleets(readFixture('fleet', version).stdout) ?? [];
    expect(fleet).toMatchObject({
      status: 'active',
      nodes: expect.stringMatching(/^0\.\.\d$/),
      backend: 'cloudrift',
      spot: 'on-demand',
      instances: [
        {
          instance: 0,
          status: 'busy',
          backend: 'cloudrift',
          region: 'us-east-nc-nr-1',
          gpu: 'RTX4090:24GB:1',
          spot: false,
          pricePerHour: 0.39,
        },
      ],
    });
    expect(fleet).not.toHaveProperty('gpu');
    expect(fleet).not.toHaveProperty('maxPrice');
  });
});

describe('the list of fleets of dstack 0.19', () => {
  // Its columns are others, and a fleet shares its line with its first instance.
  const printed = [
    ' FLEET    INSTANCE  BACKEND       RESOURCES                  PRICE  STATUS  CREATED   ',
    ' on-prem  0         ssh (remote)  cpu=16 mem=128GB disk=500GB  $0     busy    1 min ago ',
    '          1         cloudrift     cpu=8 mem=32GB disk=200GB    $2.5   idle    1 min ago ',
  ].join('\n');

  it('is not treated as an empty list', () => {
    expect(readFleets(printed)).toBeUndefined();
    expect(readFleets('')).toBeUndefined();
  });
});

describe('the total price of all instances', () => {
  const fleet = (...instances: object[]): FleetRow => ({
    name: 'cloud',
    status: 'active',
    instances: instances.map((one, instance) => ({ instance, status: 'idle', backend: 'cloudrift', ...one })),
  });

  it('is the sum of those that have a price', () => {
    const own = { backend: 'ssh' };
    const ending = { status: 'terminating', pricePerHour: 9 };
    expect(sumPrices([fleet({ pricePerHour: 0.5 }, own), fleet({ pricePerHour: 2, status: 'busy' }, ending)])).toBe(
      2.5,
    );
    expect(sumPrices([])).toBe(0);
  });

  it("is unknown if the price of one of them can't be parsed", () => {
    expect(sumPrices([fleet({ pricePerHour: 0.5 }, {})])).toBeUndefined();
  });
});

describe('offers', () => {
  it.each([['0.22.5'], ['0.21.5'], ['0.20.29']])('of dstack %s are parsed row by row', (version) => {
    const read = readOffers(lines(version === '0.22.5' ? 'offer-gpu' : 'offer', version));
    expect(read?.offers.map(({ instanceType, pricePerHour }) => [instanceType, pricePerHour])).toEqual(
      expect.arrayContaining([
        ['rtx4090.1', 0.39],
        ['rtx5090.2', 1.3],
      ]),
    );
  });

  it("keep dstack's term for unavailable ones", () => {
    expect(readOffers(lines('offer-gpu'))?.offers.map(({ availability }) => availability)).toEqual([
      'available',
      'available',
      'not available',
    ]);
  });

  it("of a fleet's plan and a run's plan have the same form", () => {
    const [ofFleet] = readOffers(lines('plan-fleet-create'))?.offers ?? [];
    const [ofRun] = readOffers(lines('plan-task-create'))?.offers ?? [];
    expect(ofFleet).toEqual(ofRun);
  });

  it('include the part of a shared instance, and whether they are spot', () => {
    const table = [
      ' #  BACKEND       RESOURCES                       INSTANCE TYPE   PRICE        ',
      ' 1  ssh (remote)  cpu=2 mem=8GB disk=200GB (spot)  instance (1/4)  $0     idle ',
    ].map((line, index) => (index === 0 ? line.replace('RESOURCES ', 'RESOURCES  ') : line));
    expect(readOffers(table)?.offers).toEqual([
      {
        backend: 'ssh',
        region: 'remote',
        instanceType: 'instance',
        blocks: '1/4',
        resources: 'cpu=2 mem=8GB disk=200GB',
        spot: true,
        pricePerHour: 0,
        availability: 'idle',
      },
    ]);
  });

  it("are absent if one row can't be parsed", () => {
    expect(readOffers(lines('offer-gpu').map((line) => line.replace('$0.65', '?    ')))).toBeUndefined();
  });

  it('are empty if dstack says that there are none', () => {
    expect(readOffers(lines('offer-none'))).toEqual({ offers: [], total: 0 });
  });

  it('in groups have their price range', () => {
    expect(readGpuGroups(readFixture('offer-group-gpu').stdout)).toEqual([
      { gpu: 'RTX4090:24GB:1', pricePerGpuMin: 0.39, pricePerGpuMax: 0.39, backends: 'cloudrift' },
      {
        gpu: 'RTX5090:32GB:1..2',
        pricePerGpuMin: 0.65,
        pricePerGpuMax: 0.65,
        backends: 'cloudrift',
      },
    ]);
    expect(readGpuGroups(readFixture('offer-group-region').stdout)[0]).toMatchObject({ backends: 'cloudrift' });
  });
});

describe('the utilization of a run', () => {
  it('has the latest value of each chart for the CPU and each GPU', () => {
    expect(readMetrics(readFixture('metrics').stdout)).toEqual([
      { job: 'job=0', part: 'cpu', utilization: '6%', memory: '256MB/48GB' },
      { job: 'job=0', part: 'gpu=0', utilization: '42%', memory: '10GB/24GB' },
    ]);
  });

  it('is also parsed from the table of dstack before 0.21', () => {
    expect(readMetrics(readFixture('metrics', '0.20.29').stdout)).toEqual([
      { job: 'job=0', part: 'cpu', utilization: '3%', memory: '512MB/96GB' },
      { job: 'job=0', part: 'gpu=0', utilization: '42%', memory: '10GB/32GB' },
      { job: 'job=0', part: 'gpu=1', utilization: '42%', memory: '10GB/32GB' },
    ]);
    expect(readMetrics(readFixture('metrics-two-nodes', '0.20.29').stdout)).toEqual([
      { job: 'replica=0 job=0', part: 'cpu', utilization: '6%', memory: '512MB/32GB' },
      { job: 'replica=0 job=1', part: 'cpu', utilization: '6%', memory: '512MB/32GB' },
    ]);
    expect(readMetrics(' NAME  LOAD \n web   0.3  \n')).toEqual([]);
  });

  it('is empty without samples', () => {
    expect(readMetrics('')).toEqual([]);
    expect(readMetrics('             UTILIZATION  MEMORY \n job=0  cpu  -            -      \n')).toEqual([
      { job: 'job=0', part: 'cpu' },
    ]);
    expect(readMetrics(' NAME  STATUS   CPU  MEMORY  GPU \n web   running  -    -       -   \n')).toEqual([
      { job: 'job=0', part: 'cpu' },
    ]);
  });
});

it('offers that this server excludes are listed by their numbers, with the limit', () => {
  const reasons = [undefined, 'the cap', 'the cap', 'the cap', undefined, 'the cap', 'the policy'];
  expect(describeExcluded(reasons.map((excluded) => ({ excluded })))).toEqual([
    'excluded: #2-4, #6 (the cap)',
    'excluded: #7 (the policy)',
  ]);
  expect(describeExcluded([{ excluded: undefined }])).toEqual([]);
});

const read = (fixture: string) => readTable(readFixture(fixture).stdout.split('\n'));

describe('a table', () => {
  it('has rows with a cell for each column, including blank cells', () => {
    expect(read('volume-verbose')).toMatchObject({
      columns: ['NAME', 'BACKEND', 'REGION', 'STATUS', 'ATTACHED', 'CREATED', 'ERROR'],
      rows: [
        {
          level: 0,
          cells: { NAME: 'lab-vol', BACKEND: 'runpod', REGION: 'EU-RO-1', STATUS: 'active', ATTACHED: '-', ERROR: '' },
        },
      ],
    });
  });

  it.each([
    ['secret-list', ['NAME', 'VALUE']],
    ['gateway-list', ['NAME', 'BACKEND', 'HOSTNAME', 'DOMAIN', 'DEFAULT', 'STATUS']],
    ['preset-list', ['NAME', 'ID', 'BASE', 'CONSTRAINTS', 'BENCHMARK', 'STATUS', 'SUBMITTED']],
    [
      'ps-running-verbose',
      ['NAME', 'BACKEND', 'RESOURCES', 'INSTANCE TYPE', 'PRICE', 'STATUS', 'PROBES', 'SUBMITTED', 'ERROR'],
    ],
    ['offer-group-gpu', ['#', 'GPU', 'SPOT', '$/GPU', 'BACKENDS']],
  ])('of %s has its columns by name', (fixture, columns) => {
    expect(read(fixture)?.columns).toEqual(columns);
  });

  it('keeps a centered cell in its column', () => {
    const rows = read('project-list')?.rows ?? [];
    expect(rows.map(({ cells }) => [cells['PROJECT'], cells['DEFAULT']]).slice(0, 2)).toEqual([
      ['lab', '✓'],
      ['out-empty', ''],
    ]);
  });

  it('distinguishes a resource from its indented parts', () => {
    expect(read('fleet')?.rows.map(({ level, cells }) => [level, cells['NAME']])).toEqual([
      [0, 'lab-cloud'],
      [1, 'instance=0'],
    ]);
  });

  it('separates a cell in a column without a name from the named cell before it', () => {
    const [first, second] = read('plan-task-none')?.rows ?? [];
    expect([first?.cells['PRICE'], first?.unnamed]).toEqual(['$0.39', []]);
    expect([second?.cells['PRICE'], second?.unnamed]).toEqual(['$0.39', ['busy']]);
  });

  it('reports omitted rows, and ends before the line that counts them', () => {
    const lines = readFixture('plan-task-more-offers').stdout.split('\n');
    const table = readTable(lines);
    expect(table).toMatchObject({ cutShort: true, rows: [{}] });
    expect(lines[table?.endLine ?? 0]).toContain('Shown 1 of 4 offers');
  });

  it('joins a wrapped cell to its row', () => {
    const text = [
      ' NAME  BACKEND      STATUS  ',
      ' web   cloudrift    running ',
      '       (us-east)            ',
      ' db    aws          done    ',
    ];
    expect(readTable(text)?.rows.map(({ cells }) => cells['BACKEND'])).toEqual(['cloudrift (us-east)', 'aws']);
  });

  it('aligns columns after characters that are two cells wide', () => {
    const text = [' NAME      STATUS   ERROR ', ' 学習      running  none  ', ' 🚀 run    failed   boom  '];
    expect(readTable(text)?.rows.map(({ cells }) => [cells['NAME'], cells['STATUS'], cells['ERROR']])).toEqual([
      ['学習', 'running', 'none'],
      ['🚀 run', 'failed', 'boom'],
    ]);
  });

  it('is absent if the text has no header', () => {
    expect(readTable(['The project has no fleets.', ' lab  cloudrift'])).toBeUndefined();
    expect(read('event')).toBeUndefined();
  });
});

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
