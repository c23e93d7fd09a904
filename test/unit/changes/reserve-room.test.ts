import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { withLock } from '../../../src/core/exclusive-lock.mjs';
import { reportOf, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { ChangesOptions } from '../../support/set-up-changes.ts';
import { readFixture } from '../../support/read-fixture.ts';
import { refusal } from '../../support/set-up-gate.ts';

const APPLY = { tool: 'apply', file: 'task.dstack.yml' } as const;

afterEach(() => void vi.useRealTimers());

/** Sets up a project in which $0.39/h is active, and each task costs another $0.39/h. */
function limited(maxActive: number, options: ChangesOptions = {}) {
  const changes = setUpChanges({ policy: `max_active: ${maxActive}`, ...options });
  changes.world.reads = { apply: 'plan-task-create', fleet: 'fleet', 'run get': 'run-get-running' };
  changes.world.changes = { apply: 'apply-task-created' };
  return changes;
}

type Changes = ReturnType<typeof limited>;

const mintAll = (changes: Changes, count: number): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, () => changes.mint(APPLY)));

/** Redeems a token and returns the outcome, or the code of the refusal. */
const redeem = (changes: Changes, token: string): Promise<string> =>
  changes.redeem(token).then(
    (answer) => reportOf(answer).outcome,
    ({ code }: { code: string }) => code,
  );

const submitted = (changes: Changes): number => changes.changed().length;

function submissionsFile({ stateDir }: Changes): string {
  const folder = path.join(stateDir, 'submissions');
  const file = readdirSync(folder).find((name) => name.endsWith('.json')) ?? '';
  return path.join(folder, file);
}

test('of five tokens that are redeemed at once, as many are used as there is room for', async () => {
  const changes = limited(0.39 * 3);
  const tokens = await mintAll(changes, 5);
  const outcomes = await Promise.all(tokens.map((token) => redeem(changes, token)));
  expect(outcomes.toSorted()).toEqual(['done', 'done', 'price-cap', 'price-cap', 'price-cap']);
  expect(submitted(changes)).toBe(2);
});

test('two servers of one user share the room of a project', async () => {
  const first = limited(0.39 * 2);
  const second = limited(0.39 * 2, { stateDir: first.stateDir });
  const tokens = await Promise.all([first.mint(APPLY), second.mint(APPLY)]);
  const outcomes = await Promise.all([redeem(first, tokens[0]), redeem(second, tokens[1])]);
  expect(outcomes.toSorted()).toEqual(['done', 'price-cap']);
  expect(submitted(first) + submitted(second)).toBe(1);
});

test('another project and another server have their own room', async () => {
  const first = limited(0.39 * 2);
  const second = limited(0.39 * 2, { stateDir: first.stateDir, defaultProject: 'prod' });
  second.world.reads['apply'] = rewritten('plan-task-create', ['Project        lab ', 'Project        prod']);
  const tokens = await Promise.all([first.mint(APPLY), second.mint(APPLY)]);
  expect([await redeem(first, tokens[0]), await redeem(second, tokens[1])]).toEqual(['done', 'done']);
});

test('what was submitted in the last two minutes counts in a plan, too, and no longer afterwards', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const changes = limited(0.39 * 2);
  expect(await redeem(changes, await changes.mint(APPLY))).toBe('done');
  vi.setSystemTime(Date.now() + 119_000);
  expect(await refusal(changes.preview(APPLY))).toMatchObject({
    code: 'price-cap',
    message: expect.stringContaining('$0.78/h'),
  });
  vi.setSystemTime(Date.now() + 2_000);
  expect((await changes.preview(APPLY)).facts).toHaveProperty('token');
});

test('a refusal keeps the token for when there is room', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const changes = limited(0.39 * 2);
  const [one = '', two = ''] = await mintAll(changes, 2);
  expect([await redeem(changes, one), await redeem(changes, two)]).toEqual(['done', 'price-cap']);
  vi.setSystemTime(Date.now() + 121_000);
  expect(await redeem(changes, two)).toBe('done');
});

test('what dstack did not submit takes no room, and what it may have submitted does', async () => {
  const changes = limited(0.39 * 2);
  const [failing = '', unclear = '', late = ''] = await mintAll(changes, 3);
  changes.world.changes['apply'] = 'error-unreachable';
  expect(await redeem(changes, failing)).toBe('failed');
  changes.world.changes['apply'] = () => {
    throw new Error('lost');
  };
  await expect(changes.redeem(unclear)).rejects.toThrow('lost');
  expect(await redeem(changes, late)).toBe('price-cap');
});

test('a change that is no longer the approved one takes no room', async () => {
  const changes = limited(0.39 * 2);
  const [edited = '', same = ''] = await mintAll(changes, 2);
  changes.world.version = '0.22.6';
  expect(await redeem(changes, edited)).toBe('plan-changed');
  changes.world.version = '0.22.5';
  expect(await redeem(changes, same)).toBe('done');
});

test('a change that may go on after its call keeps its room until it must have ended', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const changes = limited(0.39 * 2, { timeoutMs: 3_000 });
  changes.world.reads['run get'] = 'error-unreachable';
  const created = readFixture('apply-task-created');
  changes.world.changes = { apply: { ...created, stdout: '', exit: { kind: 'timed-out', stillRunning: true } } };
  const [first = '', second = ''] = await mintAll(changes, 2);
  expect(await redeem(changes, first)).toBe('unknown');
  changes.world.changes = { apply: 'apply-task-created' };
  vi.setSystemTime(Date.now() + 300_000);
  expect(await redeem(changes, second)).toBe('price-cap');
  vi.setSystemTime(Date.now() + 121_000);
  expect(await redeem(changes, second)).toBe('done');
});

test('a limit that is unknown or open has no room', async () => {
  const changes = limited(99);
  changes.world.reads['apply'] = 'plan-volume-create';
  const volume = await refusal(changes.preview({ tool: 'apply', file: 'vol.dstack.yml' }));
  expect(volume).toMatchObject({ code: 'price-cap' });
  changes.world.reads['apply'] = rewritten('plan-fleet-create', ['max=4', 'max=None']);
  const fleet = await refusal(changes.preview({ tool: 'apply', file: 'fleet.dstack.yml' }));
  expect(fleet).toMatchObject({ code: 'price-cap', message: expect.stringContaining('no upper limit') });
});

test('the file of submissions is private, and a damaged one refuses every change that needs room', async () => {
  const changes = limited(9);
  expect(await redeem(changes, await changes.mint(APPLY))).toBe('done');
  const file = submissionsFile(changes);
  expect(statSync(file).mode & 0o077).toBe(0);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual([{ at: expect.any(Number), hourly: 0.39 }]);
  writeFileSync(file, '[{}]');
  expect(await refusal(changes.preview(APPLY))).toMatchObject({
    code: 'state-unavailable',
    message: expect.stringContaining(file),
  });
});

test('submissions that cannot be read refuse the change and keep the token', async () => {
  const changes = limited(9);
  const token = await changes.mint(APPLY);
  expect(await redeem(changes, await changes.mint(APPLY))).toBe('done');
  const file = submissionsFile(changes);
  writeFileSync(file, '');
  expect(await redeem(changes, token)).toBe('state-unavailable');
  expect(submitted(changes)).toBe(1);
  writeFileSync(file, '[]');
  expect(await redeem(changes, token)).toBe('done');
});

test('a change that another one keeps waiting is not made', async () => {
  const changes = limited(9, { timeoutMs: 10_500 });
  const [first = '', second = ''] = await mintAll(changes, 2);
  expect(await redeem(changes, first)).toBe('done');
  const lock = `${submissionsFile(changes)}.lock`;
  await withLock(lock, { deadlineMs: 0 }, async () => {
    expect(await redeem(changes, second)).toBe('state-unavailable');
  });
  expect(submitted(changes)).toBe(1);
  expect(await redeem(changes, second)).toBe('done');
});

test('without max_active nothing is locked or recorded', async () => {
  const changes = limited(9, { policy: 'max_price: 9' });
  expect(await redeem(changes, await changes.mint(APPLY))).toBe('done');
  expect(() => readdirSync(path.join(changes.stateDir, 'submissions'))).toThrow('ENOENT');
});
