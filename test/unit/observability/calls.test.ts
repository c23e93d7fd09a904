import { expect, test } from 'vitest';
import { beginCall, countCall, describeCounts, noCounts } from '../../../src/observability/calls.ts';
import type { CallRecord, Counts } from '../../../src/observability/calls.ts';

/** A call whose clock advances only with `pass`. */
function startCall() {
  let time = 1_000;
  const call = beginCall('7', { tool: 'plan', request: '3' }, () => time);
  return {
    call,
    pass: (ms: number): void => {
      time += ms;
    },
  };
}

test('the steps of a call add up to its duration', () => {
  const { call, pass } = startCall();
  pass(5);
  const command = call.command('ps');
  pass(20);
  command.begin('warm');
  pass(300);
  command.end({ kind: 'exited', code: 0 });
  pass(7);
  call.answer({ outcome: 'done', isError: false });
  pass(2);
  expect(call.end()).toEqual({
    id: '7',
    tool: 'plan',
    request: '3',
    outcome: 'done',
    isError: false,
    startedAt: 1_000,
    durationMs: 334,
    stepsMs: { checked: 5, waited: 20, warm: 300, plain: 0, read: 7, answered: 2 },
    commands: [
      { command: 'ps', ran: 'warm', exit: 'exited', exitCode: 0, startedAt: 1_005, waitedMs: 20, durationMs: 320 },
    ],
  });
});

test('while one command runs and another waits, the time counts once, as running', () => {
  const { call, pass } = startCall();
  const first = call.command('ps');
  const second = call.command('offer');
  pass(10);
  first.begin('plain');
  pass(100);
  first.end({ kind: 'exited', code: 1 });
  pass(40);
  second.begin('plain');
  pass(50);
  second.end({ kind: 'signalled', signal: 'SIGKILL' });
  call.answer({ outcome: 'failed', code: 'busy', isError: true });
  const record = call.end();
  expect(record.stepsMs).toEqual({ checked: 0, waited: 50, warm: 0, plain: 150, read: 0, answered: 0 });
  expect(record.durationMs).toBe(200);
  expect(record.commands.map(({ command, waitedMs }) => [command, waitedMs])).toEqual([
    ['ps', 10],
    ['offer', 150],
  ]);
  expect(record).toMatchObject({ outcome: 'failed', code: 'busy' });
});

test('a command that moves from the worker to a process counts as a process from then on', () => {
  const { call, pass } = startCall();
  const command = call.command('ps');
  command.begin('warm');
  pass(30);
  command.begin('plain');
  pass(60);
  command.end({ kind: 'exited', code: 0 });
  const record = call.end();
  expect(record.stepsMs).toMatchObject({ warm: 30, plain: 60 });
  expect(record.commands).toMatchObject([{ ran: 'plain', waitedMs: 30, durationMs: 90 }]);
});

test('a command whose turn never came did not run, and a rejected one is recorded as refused', () => {
  const { call, pass } = startCall();
  const late = call.command('ps');
  pass(9);
  expect(late.end({ kind: 'cancelled' })).toEqual({
    command: 'ps',
    exit: 'cancelled',
    startedAt: 1_000,
    waitedMs: 9,
    durationMs: 9,
  });
  expect(call.command('stop').end(undefined)).toMatchObject({ exit: 'refused' });
});

test('a call without an answer is recorded as an internal error, and work that it left running does not change the record', () => {
  const { call, pass } = startCall();
  const left = call.command('apply');
  left.begin('plain');
  expect(call.isOver).toBe(false);
  const record = call.end();
  expect(call.isOver).toBe(true);
  pass(5_000);
  left.end({ kind: 'exited', code: 0 });
  expect(record).toMatchObject({ outcome: 'failed', code: 'internal', isError: true, durationMs: 0, commands: [] });
});

const START = new Date('2026-01-02T03:04:05Z');

const record = (known: Partial<CallRecord>): CallRecord => ({
  id: '1',
  tool: 'ps',
  outcome: 'done',
  isError: false,
  startedAt: 0,
  durationMs: 10,
  stepsMs: { checked: 0, waited: 0, warm: 0, plain: 0, read: 0, answered: 0 },
  commands: [],
  ...known,
});

const count = (records: readonly Partial<CallRecord>[]): Counts =>
  records.map(record).reduce(countCall, noCounts(START));

const command = (ran: 'warm' | 'plain' | undefined) => ({
  command: 'ps',
  ...(ran === undefined ? {} : { ran }),
  exit: 'exited' as const,
  startedAt: 0,
  waitedMs: 0,
  durationMs: 1,
});

const CALLS = [
  { tool: 'plan', durationMs: 2_300.4, commands: [command('warm'), command('plain')] },
  { tool: 'ps', commands: [command('warm')] },
  { tool: 'ps', outcome: 'failed', code: 'timed-out', commands: [command(undefined)] },
  { tool: 'apply', outcome: 'refused', code: 'price-cap' },
  { tool: 'ps' },
  { tool: 'apply', outcome: 'refused', code: 'price-cap' },
  { tool: 'stop', outcome: 'refused', code: 'policy', durationMs: 2_300 },
  { tool: 'stop', outcome: 'refused' },
] as const;

test('calls are counted by tool and outcome, refusals by code, and commands by how they ran', () => {
  expect(count(CALLS)).toEqual({
    since: '2026-01-02T03:04:05.000Z',
    calls: { plan: { done: 1 }, ps: { done: 2, failed: 1 }, apply: { refused: 2 }, stop: { refused: 2 } },
    refusals: { 'price-cap': 2, policy: 1, other: 1 },
    commands: { warm: 2, plain: 1 },
    longest: { tool: 'plan', durationMs: 2_300 },
  });
});

test('the totals fit on one line, most frequent first', () => {
  expect(describeCounts(count(CALLS))).toBe(
    '8 since 2026-01-02T03:04:05.000Z: ps 3 (failed 1), apply 2 (refused 2), stop 2 (refused 2), plan 1; ' +
      'refused: price-cap 2, policy 1, other 1; dstack ran 2 commands warm and 1 as processes; ' +
      'the longest call took 2300 ms (plan)',
  );
});

test('before the first call, the totals only say since when', () => {
  expect(describeCounts(count([]))).toBe('none since 2026-01-02T03:04:05.000Z');
});

test('the totals omit refusals if there are none', () => {
  expect(describeCounts(count([{}]))).not.toContain('refused');
});
