import { expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { createRetryGuard } from '../../../../src/dstack/client/retry-guard.ts';
import type { Fault, RetryGuard } from '../../../../src/dstack/client/retry-guard.ts';

const permanent: Fault = {
  message: 'Unrecognized arguments: --bogus',
  hint: 'Use help to see what this command accepts.',
  transient: false,
};
const passing: Fault = { message: 'Connection refused', hint: 'Is the server up?', transient: true };

function setUp() {
  let clock = 5_000;
  const guard = createRetryGuard({ now: () => clock });
  return {
    guard,
    check: (key: string) => refusalOf(guard, key),
    pass: (ms: number): void => {
      clock += ms;
    },
  };
}

/** Returns why a call may not run; undefined if it may. */
function refusalOf(guard: RetryGuard, key: string): ToolError | undefined {
  try {
    guard.assertMayRun(key);
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
}

test('a permanent failure is not retried: the first error is repeated', () => {
  const { guard, check } = setUp();
  expect(check('get train')).toBeUndefined();
  guard.record('get train', permanent);
  expect(check('get train')).toMatchObject({
    code: 'retry-refused',
    message: expect.stringContaining('Unrecognized arguments: --bogus'),
    hint: expect.stringContaining('Use help to see what this command accepts.'),
  });
});

test('other inputs are another call', () => {
  const { guard, check } = setUp();
  guard.record('get train', permanent);
  expect(check('get trainer')).toBeUndefined();
});

test('it can be retried after exactly ten minutes', () => {
  const { guard, check, pass } = setUp();
  guard.record('k', permanent);
  pass(10 * 60_000 - 1);
  expect(check('k')).toBeDefined();
  pass(1);
  expect(check('k')).toBeUndefined();
});

test('it can be retried after something was changed', () => {
  const { guard, check } = setUp();
  guard.record('k', permanent);
  guard.worldChanged();
  expect(check('k')).toBeUndefined();
});

test('a transient failure can be retried after a pause that grows up to ten seconds', () => {
  const { guard, check, pass } = setUp();
  const pauses = Array.from({ length: 9 }, () => {
    guard.record('k', passing);
    let waited = 0;
    const announced = /Wait (\d+) s/.exec(check('k')?.hint ?? '')?.[1];
    while (check('k') !== undefined) {
      pass(500);
      waited += 500;
    }
    expect(Number(announced) * 1000).toBe(waited);
    return waited;
  });
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000, 10_000, 10_000]);
});

test('a success resets the pause', () => {
  const { guard, check, pass } = setUp();
  for (let count = 0; count < 5; count += 1) guard.record('k', passing);
  guard.record('k', undefined);
  expect(check('k')).toBeUndefined();
  guard.record('k', passing);
  pass(1_000);
  expect(check('k')).toBeUndefined();
  guard.record('other', permanent);
  guard.record('other', undefined);
  expect(check('other')).toBeUndefined();
});

test('an old failure does not make the pause longer', () => {
  const { guard, check, pass } = setUp();
  for (let count = 0; count < 5; count += 1) guard.record('k', passing);
  pass(60 * 60_000);
  guard.record('k', passing);
  pass(1_000);
  expect(check('k')).toBeUndefined();
});

test('memory is bounded: the oldest failure is forgotten', () => {
  const { guard, check } = setUp();
  const refused = (...keys: string[]): string[] => keys.filter((key) => check(key) !== undefined);
  for (const key of ['a', 'b', 'c']) guard.record(key, permanent);
  for (let count = 3; count < 500; count += 1) guard.record(String(count), permanent);
  expect(refused('a', 'b', 'c', '3')).toEqual(['a', 'b', 'c', '3']);
  guard.record('d', permanent);
  expect(refused('a', 'b', 'c', 'd')).toEqual(['b', 'c', 'd']);
  guard.record('b', permanent);
  guard.record('e', permanent);
  expect(refused('b', 'c', 'd', 'e')).toEqual(['b', 'd', 'e']);
});

test('a call is rejected until the pause ends, with the remaining time', () => {
  const { guard, check, pass } = setUp();
  guard.record('k', passing);
  expect(check('k')).toMatchObject({
    code: 'retry-refused',
    message: 'The same call has just failed: Connection refused',
    hint: 'Wait 1 s, then try again. Is the server up?',
  });
  pass(999);
  expect(check('k')?.hint).toContain('Wait 1 s');
  pass(1);
  expect(check('k')).toBeUndefined();
});

test('the pause is reset if the failure is old', () => {
  const { guard, check, pass } = setUp();
  guard.record('k', passing);
  pass(10 * 60_000 + 999);
  guard.record('k', passing);
  expect(check('k')?.hint).toContain('Wait 2 s');
  pass(2_000 + 10 * 60_000);
  guard.record('k', passing);
  expect(check('k')?.hint).toContain('Wait 1 s');
});

test('a change does not shorten the pause after a transient failure', () => {
  const { guard, check } = setUp();
  guard.record('k', passing);
  guard.worldChanged();
  expect(check('k')?.message).toContain('has just failed');
});

test('it defaults to the monotonic clock of the process', () => {
  const guard = createRetryGuard();
  guard.record('k', permanent);
  expect(refusalOf(guard, 'k')?.message).toContain('fails every time with the same flags and file');
});
