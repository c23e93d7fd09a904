import { expect, test } from 'vitest';
import { selectRows } from '../../../../src/dstack/output/select-rows.ts';
import { readFixture } from '../../../support/read-fixture.ts';

test('rows are kept verbatim with the jobs below them, and the others are omitted', () => {
  const { stdout } = readFixture('ps-mixed');
  const [header = ''] = stdout.split('\n');
  const rows = selectRows(stdout, 'lab-svc').split('\n');
  expect(rows[0]).toBe(header);
  expect(rows.slice(1).every((row) => row === '' || /^ +(?:lab-svc|deployment=)/.test(row))).toBe(true);
  expect(rows.length).toBeLessThan(stdout.split('\n').length);
  for (const row of rows) expect(stdout.split('\n')).toContain(row);
});

test('no name keeps everything, and so does a text without a table', () => {
  const { stdout } = readFixture('ps-mixed');
  expect(selectRows(stdout, '')).toBe(stdout);
  expect(selectRows('nothing here\n', 'x')).toBe('nothing here\n');
});
