import { expect, test } from 'vitest';
import { verifyOutcome } from '../../../src/changes/verify-outcome.ts';
import type { Exit, WireEvent } from '../../../src/core/transcript.ts';
import type { ExpectedChange } from '../../../src/dstack/run/runner.ts';
import type { ChangeOutcome } from '../../../src/dstack/output/read-outcome.ts';

const DONE: ChangeOutcome = { outcome: 'done', message: 'Run train submitted.', hint: 'Watch it.' };
const FAILED: ChangeOutcome = { outcome: 'failed', message: 'Run train already exists.', hint: 'Choose a name.' };
const UNKNOWN: ChangeOutcome = { outcome: 'unknown', message: 'The time was up.', hint: 'Look.' };

const STOP: ExpectedChange = { path: 'runs/stop', body: { runs_names: ['train'], abort: false } };
const APPLY: ExpectedChange = { path: 'runs/apply', plan: { path: 'runs/get_plan', sha256: 'a'.repeat(64) } };

const sent = (path: string): WireEvent => ({ event: 'sent', path, kind: 'change' });
const answered = (path: string, status = 200): WireEvent => ({ event: 'answered', path, kind: 'change', status });
const lost = (path: string): WireEvent => ({ event: 'lost', path, kind: 'change', why: 'the connection was closed' });
const denied: WireEvent = { event: 'denied', path: 'runs/delete', why: 'it was not approved' };
const other: readonly WireEvent[] = [
  { event: 'plan', path: 'runs/get_plan', sha256: 'a'.repeat(64), name: null },
  { event: 'sent', path: 'files/upload', kind: 'hand-over' },
  { event: 'answered', path: 'files/upload', kind: 'hand-over', status: 500 },
];

const ENDED = { kind: 'exited', code: 0 } as const;
const GOES_ON = { kind: 'timed-out', stillRunning: true } as const;

const verify = (reported: ChangeOutcome, requests?: readonly WireEvent[], exit: Exit = ENDED) =>
  verifyOutcome(reported, { exit, ...(requests === undefined ? {} : { requests }) }, [APPLY]);

test.each<[ChangeOutcome, string]>([
  [DONE, 'yes'],
  [FAILED, 'no'],
  [UNKNOWN, 'open'],
])('without the requests, what dstack reported counts: %o', (reported, accepted) => {
  expect(verify(reported)).toEqual({ ...reported, accepted });
  expect(verifyOutcome(reported, { exit: ENDED, requests: [denied] }, undefined)).toEqual({ ...reported, accepted });
});

test('a change that the server accepted and dstack reports is done', () => {
  const requests = [...other, sent('runs/apply'), answered('runs/apply')];
  expect(verify(DONE, requests)).toEqual({ ...DONE, accepted: 'yes' });
});

test("a change that the server refused is dstack's failure", () => {
  const requests = [sent('runs/apply'), answered('runs/apply', 400)];
  expect(verify(FAILED, requests)).toEqual({ ...FAILED, accepted: 'no' });
});

test('a server that failed may have made the change, whatever dstack reports', () => {
  const requests = [sent('runs/apply'), answered('runs/apply', 502)];
  expect(verify(FAILED, requests)).toMatchObject({ outcome: 'unknown', accepted: 'open' });
});

test('a request that was not approved is not sent: nothing was changed', () => {
  expect(verify(FAILED, [...other, denied])).toMatchObject({
    outcome: 'refused',
    message: expect.stringMatching(/it was not approved\. Nothing was changed\./),
    accepted: 'no',
  });
});

test('what claims to be done, and sent no change, was not done', () => {
  expect(verify(DONE, other)).toMatchObject({
    outcome: 'nothing-to-do',
    message: expect.stringContaining('sent no change'),
    accepted: 'no',
  });
});

test('a dstack that ended in any other way without sending a change has failed', () => {
  expect(verify(UNKNOWN, [])).toMatchObject({
    outcome: 'failed',
    message: expect.stringMatching(/sent no change to its server\. Nothing was changed\.$/),
    accepted: 'no',
  });
});

test.each<[Exit, string]>([
  [GOES_ON, 'under-way'],
  [{ kind: 'lost', reason: 'the worker died' }, 'open'],
])('a dstack that was cut off may still have sent one: %o', (exit, accepted) => {
  expect(verify(UNKNOWN, [], exit)).toEqual({ ...UNKNOWN, accepted });
});

test.each<[string, readonly WireEvent[], Exit, string]>([
  ['was lost', [sent('runs/apply'), lost('runs/apply')], ENDED, 'open'],
  ['has not arrived', [sent('runs/apply')], GOES_ON, 'under-way'],
])('a change whose response %s is unknown, even if dstack reports a failure', (_what, requests, exit, accepted) => {
  expect(verify(FAILED, requests, exit)).toMatchObject({
    outcome: 'unknown',
    message: expect.stringContaining('runs/apply'),
    accepted,
  });
});

test('a change that the server accepted and dstack calls a failure is unknown until it is seen', () => {
  expect(verify(FAILED, [sent('runs/apply'), answered('runs/apply')], { kind: 'exited', code: 1 })).toMatchObject({
    outcome: 'unknown',
    message: expect.stringMatching(/accepted the change\. Run train already exists\.$/),
    accepted: 'yes',
  });
});

test('a change that the server accepted, and after which dstack printed unknown words, is unknown until it is seen', () => {
  expect(verify(UNKNOWN, [sent('runs/apply'), answered('runs/apply')])).toMatchObject({
    outcome: 'unknown',
    message: "dstack's server accepted the change.",
    accepted: 'yes',
  });
});

test.each<[string, readonly WireEvent[]]>([
  ['was not sent', [denied]],
  ['was refused by the server', [sent('runs/apply'), answered('runs/apply', 400)]],
])('a replacement whose second step %s says what is gone', (_what, second) => {
  const requests = [sent('runs/stop'), answered('runs/stop'), ...second];
  expect(verifyOutcome(FAILED, { requests, exit: ENDED }, [STOP, APPLY])).toMatchObject({
    outcome: 'failed',
    message: expect.stringMatching(/Only the first step was made \(runs\/stop\).*nothing new was submitted/),
    accepted: 'no',
  });
});

test('a replacement that goes on after its first step is unknown', () => {
  const requests = [sent('runs/stop'), answered('runs/stop')];
  expect(verifyOutcome(UNKNOWN, { requests, exit: GOES_ON }, [STOP, APPLY])).toEqual({
    ...UNKNOWN,
    accepted: 'under-way',
  });
});
