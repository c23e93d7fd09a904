import { expect, test } from 'vitest';
import { verifyOutcome } from '../../../src/changes/verify-outcome.ts';
import type { WireEvent } from '../../../src/core/transcript.ts';
import type { ExpectedChange } from '../../../src/dstack/run/wire-rule.ts';
import type { ChangeOutcome } from '../../../src/dstack/output/read-outcome.ts';

const DONE: ChangeOutcome = { outcome: 'done', did: 'submitted', message: 'Run train submitted.', hint: 'Watch it.' };
const FAILED: ChangeOutcome = { outcome: 'failed', message: 'Run train already exists.', hint: 'Choose a name.' };
const UNKNOWN: ChangeOutcome = { outcome: 'unknown', message: 'The time was up.', hint: 'Look.' };

const STOP: ExpectedChange = { path: 'runs/stop', body: { runs_names: ['train'], abort: false } };
const APPLY: ExpectedChange = { path: 'runs/apply', plan: { path: 'runs/get_plan', sha256: 'a'.repeat(64) } };

const sent = (path: string): WireEvent => ({ event: 'sent', path, kind: 'change' });
const answered = (path: string, status = 200): WireEvent => ({ event: 'answered', path, kind: 'change', status });
const lost = (path: string): WireEvent => ({ event: 'lost', path, kind: 'change', why: 'the connection was closed' });
const denied: WireEvent = { event: 'denied', path: 'runs/delete', why: 'it was not approved' };
const other: readonly WireEvent[] = [
  { event: 'plan', path: 'runs/get_plan', sha256: 'a'.repeat(64) },
  { event: 'sent', path: 'files/upload', kind: 'hand-over' },
  { event: 'answered', path: 'files/upload', kind: 'hand-over', status: 500 },
];

test.each([DONE, FAILED, UNKNOWN])('without the requests, what dstack reported counts: %o', (reported) => {
  expect(verifyOutcome(reported, {}, [APPLY])).toBe(reported);
  expect(verifyOutcome(reported, { requests: [denied] }, undefined)).toBe(reported);
});

test('a change that the server accepted and dstack reports is done', () => {
  expect(verifyOutcome(DONE, { requests: [...other, sent('runs/apply'), answered('runs/apply')] }, [APPLY])).toBe(DONE);
});

test("a change that the server refused is dstack's failure", () => {
  const requests = [sent('runs/apply'), answered('runs/apply', 400)];
  expect(verifyOutcome(FAILED, { requests }, [APPLY])).toBe(FAILED);
});

test('a request that was not approved is not sent: nothing was changed', () => {
  expect(verifyOutcome(FAILED, { requests: [...other, denied] }, [APPLY])).toMatchObject({
    outcome: 'refused',
    message: expect.stringMatching(/it was not approved\. Nothing was changed\./),
  });
});

test('what claims to be done, and sent no change, was not done', () => {
  expect(verifyOutcome(DONE, { requests: other }, [APPLY])).toMatchObject({
    outcome: 'nothing-to-do',
    message: expect.stringContaining('sent no change'),
  });
  expect(verifyOutcome(UNKNOWN, { requests: [] }, [APPLY])).toBe(UNKNOWN);
});

test.each([
  ['was lost', [sent('runs/apply'), lost('runs/apply')]],
  ['has not arrived', [sent('runs/apply')]],
])('a change whose response %s is unknown, even if dstack reports a failure', (_what, requests) => {
  expect(verifyOutcome(FAILED, { requests }, [APPLY])).toMatchObject({
    outcome: 'unknown',
    message: expect.stringContaining('runs/apply'),
  });
});

test('a change that the server accepted and dstack calls a failure is unknown', () => {
  const requests = [sent('runs/apply'), answered('runs/apply')];
  expect(verifyOutcome(FAILED, { requests }, [APPLY])).toMatchObject({
    outcome: 'unknown',
    message: expect.stringMatching(/accepted the change\. Run train already exists\.$/),
  });
});

test('a replacement that ended after its first step says what is gone', () => {
  const requests = [sent('runs/stop'), answered('runs/stop')];
  expect(verifyOutcome(FAILED, { requests: [...requests, denied] }, [STOP, APPLY])).toMatchObject({
    outcome: 'failed',
    message: expect.stringMatching(/Only the first step was made \(runs\/stop\).*nothing new was submitted/),
  });
});
