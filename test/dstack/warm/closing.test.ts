import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CheckedArgv } from '../../../src/dstack/argv/command.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { isRunning, makeFakeDstack, untilGone } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { checked, consentTo, makeWarmRunner, workerPid } from '../../support/warm-test-runner.ts';
import type { TestRunnerOptions } from '../../support/warm-test-runner.ts';

/** Longer than a test may take: what waits for one of these limits fails. */
const NEVER = 1_000_000;

let ps: CheckedArgv<'read'>;
let changes: Readonly<Record<string, CheckedArgv<'change'>>>;
let fake: FakeDstack;
let runners: WarmRunner[] = [];

beforeAll(async () => {
  ps = await checked({ command: 'ps' }, 'read');
  const flags = { '--file': 'x.dstack.yml', '--yes': true, '--detach': true } as const;
  changes = {
    apply: await checked({ command: 'apply', flags }, 'change'),
    stop: await checked({ command: 'stop', flags: { '--yes': true }, positionals: ['my-run'] }, 'change'),
  };
});
beforeEach(async () => {
  fake = await makeFakeDstack();
});
afterEach(async () => {
  await Promise.all(runners.map((runner) => runner.close()));
  runners = [];
  for (const { pid } of await fake.journal()) if (await isRunning(pid)) process.kill(pid, 'SIGKILL');
  await fake.remove();
});

function start(mode: string, { limits, ...options }: Partial<TestRunnerOptions> = {}): WarmRunner {
  const runner = makeWarmRunner({
    executable: fake.executable,
    mode: mode === 'plain' ? 'off' : mode === 'spare' ? 'spare' : 'on',
    limits: { graceMs: NEVER, startTimeoutMs: NEVER, introspectionMs: NEVER, ...limits },
    ...options,
  });
  runners.push(runner);
  return runner;
}

describe.each(['warm', 'spare', 'plain'])('a runner that is closed while a %s command runs', (mode) => {
  const ran = mode === 'spare' ? 'warm' : mode;

  test.each(['apply', 'stop'])('leaves a %s running, and does not wait for it', async (command) => {
    const argv = changes[command];
    if (argv === undefined) throw new Error(command);
    const runner = start(mode);
    const running = runner.change(argv, consentTo(argv), { timeoutMs: NEVER, env: fake.env('wait_for_leave') });
    const { pid } = await fake.noted('waits');
    await runner.close();
    expect(await running).toMatchObject({ exit: { kind: 'timed-out', stillRunning: true }, ran });
    expect(await isRunning(pid)).toBe(true);
    await fake.giveLeave();
    await fake.noted('ended');
    await untilGone(pid);
    expect(await fake.count('done')).toBe(1);
  });

  test('kills a read, even if it ignores SIGTERM', async () => {
    const runner = start(mode);
    const running = runner.read(ps, { timeoutMs: NEVER, env: fake.env('ignore_termination') });
    const { pid } = await fake.noted('hangs');
    await runner.close();
    expect((await running).exit).toEqual({ kind: 'cancelled' });
    await untilGone(pid);
  });

  test('ends a change at its limit, with everything it started', async () => {
    const argv = changes['apply'];
    if (argv === undefined) throw new Error('apply');
    const limitMs = 5_000;
    const runner = start(mode, { changeLimitMs: limitMs });
    await runner.read(ps, { timeoutMs: NEVER, env: fake.env() });
    void runner.change(argv, consentTo(argv), { timeoutMs: limitMs, env: fake.env('hang_with_grandchild') });
    const { pid } = await fake.noted('hangs');
    const grandchild = Number((await fake.noted(/^grandchild-/)).word.split('-')[1]);
    await runner.close();
    for (const each of [pid, grandchild]) await untilGone(each);
    expect(await fake.count('ended')).toBe(1);
  });
});

test('a worker that hangs in its start is killed at once, and nothing that waits for it is run', async () => {
  const env = { PATH: process.env['PATH'], HOME: fake.folder, FAKE_IMPORT: 'hangs' };
  const runner = start('warm', { env, limits: { patienceMs: NEVER } });
  const waiting = runner.read(ps, { timeoutMs: NEVER, env: fake.env() });
  const asked = runner.introspection.helpTexts();
  await runner.close();
  expect((await waiting).exit).toMatchObject({ kind: 'not-started' });
  expect(await asked).toBeUndefined();
  expect(await fake.count('ran')).toBe(0);
});

test("a question to dstack's interpreter is given up", async () => {
  const env = { PATH: process.env['PATH'], HOME: fake.folder, FAKE_IMPORT: 'hangs' };
  const runner = start('plain', { env });
  const asked = runner.introspection.helpTexts();
  await runner.close();
  expect(await asked).toBeUndefined();
  expect(await runner.introspection.helpTexts()).toBeUndefined();
});

test('a worker that is stopped is killed', async () => {
  const runner = start('warm');
  await runner.read(ps, { timeoutMs: NEVER, env: fake.env() });
  const worker = workerPid(runner);
  process.kill(worker, 'SIGSTOP');
  await runner.close();
  expect(await isRunning(worker)).toBe(false);
});

// It can take a second after all that dstack imports, for which the server would wait.
test('a worker ends without the cleanup of an interpreter', async () => {
  const env = { PATH: process.env['PATH'], HOME: fake.folder, ...fake.env(), FAKE_IMPORT: 'cleans up' };
  const runner = start('warm', { env });
  await runner.read(ps, { timeoutMs: NEVER, env: fake.env() });
  const worker = workerPid(runner);
  await runner.close();
  await untilGone(worker);
  expect(await fake.journal()).not.toContainEqual({ word: 'cleaned-up', pid: worker });
});
