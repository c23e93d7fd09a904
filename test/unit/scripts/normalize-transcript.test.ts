import { expect, test } from 'vitest';
import { normalizeTranscript } from '../../../scripts/lab/normalize-transcript.ts';

test('a normalized transcript replaces what differs between runs, equal values by equal placeholders, and nothing else', () => {
  const raw = [
    'starting…',
    '── Plan ──',
    'on http://127.0.0.1:39037, token: 8117tct-s7d7syb-sxpk17g-mavsvsw, until 2026-11-25T02:38:53.263Z  ',
    'id 985e4b3e-583a-4417-87a7-21eb15e4f54f, $0.39/h, 11 sec ago, cost so far $0.02',
    'until Nov 30, 21:47 UTC, from /tmp/dstack-box-pLp8vC/home/workspace/fit.py',
    '── Apply ──',
    'with 8117tct-s7d7syb-sxpk17g-mavsvsw, then msskvey-ycq02de-vh6yvqg-kza0g6b [04a306b811f8cfef]',
    '',
    '── How long it took ──',
    'setup 0.2 s',
  ].join('\n');
  expect(normalizeTranscript(raw)).toBe(
    [
      '── Plan ──',
      'on http://127.0.0.1:3000, token: <token-1>, until 2026-01-01T00:00:00Z',
      'id <id-1>, $0.39/h, a moment ago, cost so far $0.00',
      'until Jan 1, 08:00 UTC, from /tmp/sandbox/home/workspace/fit.py',
      '── Apply ──',
      'with <token-1>, then <token-2> [<boundary-1>]',
      '',
    ].join('\n'),
  );
});
