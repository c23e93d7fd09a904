import { describe, expect, it } from 'vitest';
import { readTable } from '../../../../src/dstack/output/read-table.ts';
import { readFixture } from '../../../support/read-fixture.ts';

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
