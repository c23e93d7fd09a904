import { expect, test } from 'vitest';
import { renderChecks } from '../../../src/bin/engine.ts';
import type { DoctorCheck } from '../../../src/doctor/local-checks.ts';

const CHECKS: readonly DoctorCheck[] = [
  { name: 'dstack', state: 'ok', found: '0.22.5 at /bin/dstack', details: 'Not found at: /opt/dstack' },
  { name: 'project', state: 'error', found: 'main: denied', fix: 'Check with doctor.', code: 'unauthorized' },
  { name: 'ssh', state: 'warning', found: "ssh can't be run", fix: 'Install OpenSSH' },
  { name: 'workspace', state: 'warning', found: '/a', fix: 'Create it' },
];

test('each problem is followed by a fix for the terminal, and the last line counts', () => {
  expect(renderChecks(CHECKS, false).split('\n')).toEqual([
    '✓ dstack       0.22.5 at /bin/dstack',
    '✗ project      main: denied',
    '               Fix: dstack project add --name <project> --url <server> --token <token>',
    "! ssh          ssh can't be run",
    '               Fix: Install OpenSSH',
    '! workspace    /a',
    '               Fix: Create it',
    '',
    '1 problem, 2 warnings.',
  ]);
});

test('--verbose adds the details', () => {
  expect(renderChecks(CHECKS, true)).toContain('/bin/dstack\n               Not found at: /opt/dstack\n');
});
