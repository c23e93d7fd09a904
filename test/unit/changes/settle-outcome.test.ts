import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Effect } from '../../../src/changes/planned-change.ts';
import { judgeEffect, settleOutcome, verifyOutcome } from '../../../src/changes/settle-outcome.ts';
import type { SettledOutcome, Sight, VerifiedOutcome } from '../../../src/changes/settle-outcome.ts';
import type { Exit, Transcript, WireEvent } from '../../../src/core/transcript.ts';
import { readLookUp } from '../../../src/dstack/client/find-resource.ts';
import type { FoundResource, ResourceKind } from '../../../src/dstack/client/find-resource.ts';
import type { ChangeOutcome } from '../../../src/dstack/output/read-outcome.ts';
import type { ExpectedChange } from '../../../src/dstack/run/runner.ts';
import { readFixture } from '../../support/read-fixture.ts';
import { configOf, fakeDstack, printedJson } from '../../support/set-up-changes.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const outcome = (accepted: VerifiedOutcome['accepted'], reported: VerifiedOutcome['outcome']): VerifiedOutcome => ({
  outcome: reported,
  message: 'As dstack said.',
  hint: 'As dstack advised.',
  accepted,
});

const run = (status: string, reason: string | null = null): Transcript =>
  printedJson({
    id: 'it',
    status,
    run_spec: { run_name: 'lab' },
    jobs: [{ job_spec: {}, job_submissions: [{ status, termination_reason: reason }] }],
  });
const RUNNING = run('running');
const ENDING = run('terminating');
const ENDED = run('terminating', 'terminated_by_user');
const GONE = readFixture('run-get-not-found');
const AWAY = readFixture('error-unreachable');
const CLOSING: Transcript = {
  ...AWAY,
  stdout: '',
  exit: { kind: 'not-started', reason: 'this server is shutting down' },
};

/** Settles the outcome of a change whose resource reads like this, one reading after the other; the last one repeats. */
async function settle(
  verified: VerifiedOutcome,
  effect: Effect,
  looks: readonly Transcript[],
  seen?: Transcript,
): Promise<SettledOutcome & { readonly looks: number }> {
  let count = 0;
  const world = { changes: {}, version: '0.22.5', isPython: true, loaded: undefined, env: {} } as const;
  const get = (): Transcript => looks[Math.min(count++, looks.length - 1)] ?? GONE;
  const { openDstack } = fakeDstack(
    { ...world, reads: { 'run get': get }, documented: '0.22.5', config: configOf('lab') },
    { timeoutMs: 60_000 },
  );
  const settling = settleOutcome(
    openDstack(),
    { kind: 'run', name: 'lab', project: undefined, effect },
    {
      verified,
      seen: seen === undefined ? undefined : readSeen(seen),
    },
  );
  const ended: SettledOutcome[] = [];
  void settling.then((one) => ended.push(one));
  // Between two steps of the clock, files are read.
  while (ended.length === 0) {
    await setImmediate();
    vi.advanceTimersByTime(5);
  }
  return { ...(await settling), looks: count };
}

/** Returns what the command itself saw after the change. */
const readSeen = (printed: Transcript): ReturnType<typeof readLookUp> =>
  readLookUp(
    { requests: [{ event: 'found', path: 'runs/get', value: printed === GONE ? null : JSON.parse(printed.stdout) }] },
    { kind: 'run', name: 'lab', project: 'lab' },
  );

const STOP: Effect = { kind: 'stopped', id: 'it' };
const CREATE: Effect = { kind: 'created' };

test('a stop is done once it is past the point of return, and not before', async () => {
  const accepted = outcome('yes', 'done');
  const done = await settle(accepted, STOP, [ENDING, ENDING, ENDED]);
  expect(done).toEqual({ outcome: accepted, status: 'terminating', looks: 3 });
  const late = await settle(accepted, STOP, [ENDING]);
  expect(late.outcome).toMatchObject({ outcome: 'unknown', hint: expect.stringContaining('get') });
  expect(late.looks).toBeGreaterThan(10);
});

test('what the command itself saw after its change counts', async () => {
  const accepted = outcome('yes', 'done');
  expect(await settle(accepted, STOP, [AWAY], ENDED)).toEqual({ outcome: accepted, status: 'terminating', looks: 0 });
  const created = { outcome: accepted, status: 'running', looks: 0 };
  expect(await settle(accepted, CREATE, [AWAY], RUNNING)).toEqual(created);
  const deleted: Effect = { kind: 'deleted', id: 'it' };
  expect(await settle(accepted, deleted, [AWAY], GONE)).toEqual({ outcome: accepted, status: 'gone', looks: 0 });
  // What isn't understood proves nothing.
  const odd = printedJson({ ...JSON.parse(RUNNING.stdout), jobs: 'none' });
  expect(await settle(accepted, STOP, [ENDED], odd)).toMatchObject({ outcome: accepted, looks: 1 });
  // It isn't enough for a stop that is under way, or a run that isn't there yet.
  expect(await settle(accepted, STOP, [ENDED], ENDING)).toMatchObject({ outcome: accepted, looks: 1 });
  expect(await settle(accepted, CREATE, [RUNNING], GONE)).toMatchObject({ outcome: accepted, looks: 1 });
  expect(await settle(accepted, STOP, [ENDED], RUNNING)).toMatchObject({ outcome: { outcome: 'failed' }, looks: 0 });
});

test.each([[[RUNNING]], [[ENDING, RUNNING]]])('a stop that dstack took back is reported as such', async (looks) => {
  const undone = await settle(outcome('yes', 'done'), STOP, looks);
  expect(undone).toMatchObject({
    outcome: {
      outcome: 'failed',
      message: expect.stringMatching(/took it back: the run continues/),
      hint: expect.stringMatching(/^Stop it again/),
    },
    status: 'running',
    looks: looks.length,
  });
});

test('a stop that cannot be looked up is not called done', async () => {
  expect((await settle(outcome('yes', 'done'), STOP, [AWAY])).outcome.outcome).toBe('unknown');
  expect((await settle(outcome('yes', 'done'), STOP, [AWAY, AWAY, ENDED])).outcome.outcome).toBe('done');
});

test('a look-up that shows another run proves nothing', async () => {
  const other = printedJson({ ...JSON.parse(RUNNING.stdout), id: 'other', run_spec: { run_name: 'prod' } });
  expect((await settle(outcome('yes', 'done'), STOP, [other], other)).outcome.outcome).toBe('unknown');
  expect((await settle(outcome('open', 'unknown'), CREATE, [other], other)).outcome.outcome).toBe('unknown');
  expect((await settle(outcome('yes', 'done'), STOP, [other, ENDED], other)).outcome.outcome).toBe('done');
});

test('a change whose response was lost is done if it is seen', async () => {
  const settled = await settle(outcome('open', 'unknown'), STOP, [RUNNING, AWAY, ENDED]);
  expect(settled.outcome).toMatchObject({ outcome: 'done', message: 'As dstack said. It was made: dstack shows it.' });
  expect((await settle(outcome('open', 'unknown'), CREATE, [GONE, RUNNING])).outcome.outcome).toBe('done');
});

test('a change whose response was lost has failed if nothing of it is seen for a while', async () => {
  const settled = await settle(outcome('open', 'unknown'), CREATE, [GONE]);
  expect(settled.outcome).toMatchObject({
    outcome: 'failed',
    message: expect.stringMatching(/^As dstack said\. The change was not made: .*Nothing was changed\.$/),
    hint: expect.not.stringMatching(/again:? call/),
  });
  expect(settled.looks).toBeGreaterThan(1);
  const stop = await settle(outcome('open', 'unknown'), STOP, [RUNNING]);
  expect(stop).toMatchObject({ outcome: { outcome: 'failed' }, status: 'running' });
});

test.each([
  ['cannot be looked up', [AWAY], STOP],
  ['may be an earlier run of the same name', [run('done')], CREATE],
])('a change whose response was lost and that %s is unknown', async (_what, looks, effect) => {
  expect((await settle(outcome('open', 'unknown'), effect, looks)).outcome.outcome).toBe('unknown');
});

test('a change that goes on is never called failed', async () => {
  const settled = await settle(outcome('under-way', 'unknown'), CREATE, [GONE]);
  expect(settled.outcome).toEqual(outcome('under-way', 'unknown'));
  expect((await settle(outcome('under-way', 'unknown'), CREATE, [GONE, RUNNING])).outcome.outcome).toBe('done');
});

test('what dstack created is done by its response, even if it cannot be looked up', async () => {
  expect(await settle(outcome('yes', 'done'), CREATE, [AWAY])).toMatchObject({
    outcome: { outcome: 'done' },
    looks: 1,
  });
  expect((await settle(outcome('yes', 'done'), CREATE, [run('done')])).outcome.outcome).toBe('done');
});

test.each(['no', 'incident'] as const)('nothing is waited for where there is nothing to see: %s', async (accepted) => {
  const settled = await settle(outcome(accepted, 'unknown'), CREATE, [RUNNING]);
  expect(settled).toEqual({ outcome: outcome(accepted, 'unknown'), status: 'running', looks: 1 });
});

test('a server that closes does not wait, and does not guess', async () => {
  expect(await settle(outcome('yes', 'done'), STOP, [CLOSING])).toMatchObject({
    outcome: { outcome: 'unknown' },
    looks: 1,
  });
  expect(await settle(outcome('yes', 'done'), CREATE, [CLOSING])).toMatchObject({
    outcome: { outcome: 'done' },
    looks: 1,
  });
});

const DONE: ChangeOutcome = { outcome: 'done', message: 'Run train submitted.', hint: 'Watch it.' };
const FAILED: ChangeOutcome = { outcome: 'failed', message: 'Run train already exists.', hint: 'Choose a name.' };
const UNKNOWN: ChangeOutcome = { outcome: 'unknown', message: 'The time was up.', hint: 'Look.' };

const REQUEST: ExpectedChange = { path: 'runs/stop', body: { runs_names: ['train'], abort: false } };
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

const EXITED = { kind: 'exited', code: 0 } as const;
const GOES_ON = { kind: 'timed-out', stillRunning: true } as const;

const verify = (reported: ChangeOutcome, requests?: readonly WireEvent[], exit: Exit = EXITED) =>
  verifyOutcome(reported, { exit, ...(requests === undefined ? {} : { requests }) }, [APPLY]);

test.each<[ChangeOutcome, string]>([
  [DONE, 'yes'],
  [FAILED, 'no'],
  [UNKNOWN, 'open'],
])('without the requests, what dstack reported counts: %o', (reported, accepted) => {
  expect(verify(reported)).toEqual({ ...reported, accepted });
  expect(verifyOutcome(reported, { exit: EXITED, requests: [denied] }, undefined)).toEqual({ ...reported, accepted });
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
  ['was lost', [sent('runs/apply'), lost('runs/apply')], EXITED, 'open'],
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
  expect(verifyOutcome(FAILED, { requests, exit: EXITED }, [REQUEST, APPLY])).toMatchObject({
    outcome: 'failed',
    message: expect.stringMatching(/Only the first step was made \(runs\/stop\).*nothing new was submitted/),
    accepted: 'no',
  });
});

test('a replacement that goes on after its first step is unknown', () => {
  const requests = [sent('runs/stop'), answered('runs/stop')];
  expect(verifyOutcome(UNKNOWN, { requests, exit: GOES_ON }, [REQUEST, APPLY])).toEqual({
    ...UNKNOWN,
    accepted: 'under-way',
  });
});

test('a replacement whose report ends after its first step is unknown', () => {
  const requests = [sent('runs/stop'), answered('runs/stop')];
  const exit = { kind: 'lost', reason: "it can't be read" } as const;
  expect(verifyOutcome(UNKNOWN, { requests, exit }, [REQUEST, APPLY])).toEqual({ ...UNKNOWN, accepted: 'open' });
});

const found = (value: Readonly<Record<string, unknown>>): FoundResource => ({
  id: 'it',
  name: 'lab',
  status: typeof value['status'] === 'string' ? value['status'] : undefined,
  value: { id: 'it', ...value },
  transcript: readFixture('fleet-get'),
});

/** A run in a status, with the reasons for which its jobs end. */
const runIn = (status: string, ...reasons: readonly (string | null)[]): FoundResource =>
  found({
    status,
    run_spec: { run_name: 'lab' },
    jobs: reasons.map((termination_reason) => ({
      job_spec: {},
      job_submissions: [{ status: 'terminating', termination_reason }],
    })),
  });

const CREATED: Effect = { kind: 'created' };
const STOPPED: Effect = { kind: 'stopped', id: 'it' };
const DELETED: Effect = { kind: 'deleted', id: 'it' };
const EARLIER_STOPPED: Effect = { kind: 'stopped', id: 'an earlier one' };
const instances = (...statuses: readonly string[]): FoundResource =>
  found({ status: 'active', instances: statuses.map((status, at) => ({ instance_num: at, status })) });

test.each<[string, Effect, ResourceKind, FoundResource | undefined, Sight]>([
  ['a created run that exists', CREATED, 'run', runIn('submitted'), 'effective'],
  ['a created run that is finished: it may be an earlier one', CREATED, 'run', runIn('done'), 'unclear'],
  ['a created run that is finished already', { ...CREATED, before: null }, 'run', runIn('done'), 'effective'],
  ['a created run, where an earlier one is found', { ...CREATED, before: 'it' }, 'run', runIn('done'), 'nothing'],
  [
    'a created run, where an earlier one is replaced',
    { ...CREATED, before: 'older' },
    'run',
    runIn('done'),
    'effective',
  ],
  ['a created run that is not there', CREATED, 'run', undefined, 'nothing'],
  ['a created volume that failed', CREATED, 'volume', found({ status: 'failed' }), 'effective'],
  ['a stopped run that is gone', STOPPED, 'run', undefined, 'effective'],
  ['a stopped run whose name another one has', EARLIER_STOPPED, 'run', runIn('running', null), 'effective'],
  ['a stopped run that has ended', STOPPED, 'run', runIn('terminated'), 'effective'],
  ['a stopped run that runs', STOPPED, 'run', runIn('running', null), 'nothing'],
  ['a stopped run whose jobs do not know yet', STOPPED, 'run', runIn('terminating', null), 'unclear'],
  [
    'a stopped run whose jobs end for another reason',
    STOPPED,
    'run',
    runIn('terminating', 'container_exited_with_error'),
    'unclear',
  ],
  ['a stopped run whose jobs know it', STOPPED, 'run', runIn('terminating', null, 'terminated_by_user'), 'effective'],
  ['an aborted run whose jobs know it', STOPPED, 'run', runIn('terminating', 'aborted_by_user'), 'effective'],
  ['a deleted run that exists, terminated', DELETED, 'run', runIn('terminated'), 'nothing'],
  ['a deleted fleet that is terminating', DELETED, 'fleet', found({ status: 'terminating' }), 'effective'],
  ['a deleted fleet that is active', DELETED, 'fleet', instances('terminating'), 'nothing'],
  ['a deleted volume that is listed', DELETED, 'volume', found({ status: 'active' }), 'nothing'],
  ['a deleted volume that is gone', DELETED, 'volume', undefined, 'effective'],
  ['a deleted instance that is idle', { ...DELETED, instance: 1 }, 'fleet', instances('idle', 'idle'), 'nothing'],
  ['a deleted instance that ends', { ...DELETED, instance: 1 }, 'fleet', instances('idle', 'terminating'), 'effective'],
  ['a deleted instance that is gone', { ...DELETED, instance: 1 }, 'fleet', instances('idle'), 'effective'],
  ['a replaced run that still exists', { kind: 'replaced', before: 'it' }, 'run', runIn('terminated'), 'nothing'],
  ['a replaced run that is a new one', { kind: 'replaced', before: 'older' }, 'run', runIn('submitted'), 'effective'],
  ['a replaced run that is not there', { kind: 'replaced', before: 'it' }, 'run', undefined, 'nothing'],
])('%s', (_what, effect, kind, resource, sight) => {
  expect(judgeEffect(effect, kind, resource)).toBe(sight);
});

test.each(['run_spec', 'spec', 'configuration'])('an update shows in another %s', (where) => {
  const before = found({ [where]: { nodes: 1 }, status: 'active' });
  const effect: Effect = { kind: 'updated', before };
  expect(judgeEffect(effect, 'fleet', found({ [where]: { nodes: 1 }, status: 'terminating' }))).toBe('nothing');
  expect(judgeEffect(effect, 'fleet', found({ [where]: { nodes: 2 } }))).toBe('effective');
  expect(judgeEffect({ kind: 'updated', before: undefined }, 'fleet', before)).toBe('unclear');
});
