import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Effect } from '../../../src/changes/judge-effect.ts';
import { settleOutcome } from '../../../src/changes/settle-outcome.ts';
import type { SettledOutcome } from '../../../src/changes/settle-outcome.ts';
import type { VerifiedOutcome } from '../../../src/changes/verify-outcome.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { configOf, fakeDstack, printedJson } from '../../support/set-up-changes.ts';
import { readFixture } from '../../support/read-fixture.ts';

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
): Promise<SettledOutcome & { readonly looks: number }> {
  let count = 0;
  const world = { changes: {}, version: '0.22.5', isPython: true, loaded: undefined, env: {} } as const;
  const get = (): Transcript => looks[Math.min(count++, looks.length - 1)] ?? GONE;
  const { openDstack } = fakeDstack(
    { ...world, reads: { 'run get': get }, documented: '0.22.5', config: configOf('lab') },
    { timeoutMs: 60_000 },
  );
  const settling = settleOutcome(openDstack(), { kind: 'run', name: 'lab', project: undefined, effect }, verified);
  const ended: SettledOutcome[] = [];
  void settling.then((one) => ended.push(one));
  // Between two steps of the clock, files are read.
  while (ended.length === 0) {
    await setImmediate();
    vi.advanceTimersByTime(5);
  }
  return { ...(await settling), looks: count };
}

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

test('a change whose response was lost is done if it is seen', async () => {
  const settled = await settle(outcome('open', 'unknown'), STOP, [RUNNING, AWAY, ENDED]);
  expect(settled.outcome).toMatchObject({ outcome: 'done', message: 'As dstack said. It was made: dstack shows it.' });
  expect((await settle(outcome('open', 'unknown'), CREATE, [GONE, RUNNING])).outcome.outcome).toBe('done');
});

test('a change whose response was lost has failed if nothing of it is seen for a while', async () => {
  const settled = await settle(outcome('open', 'unknown'), CREATE, [GONE]);
  expect(settled.outcome).toMatchObject({
    outcome: 'failed',
    message: expect.stringMatching(/^As dstack said\. It was not made: .*Nothing was changed\.$/),
    hint: expect.not.stringMatching(/again:? call/),
  });
  expect(settled.looks).toBeGreaterThan(5);
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
