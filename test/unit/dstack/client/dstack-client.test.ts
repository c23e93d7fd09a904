import { expect, test } from 'vitest';
import { hasEffect } from '../../../../src/dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../../../../src/dstack/argv/command.ts';
import type { DstackClient } from '../../../../src/dstack/client/dstack-client.ts';
import { createRetryGuard } from '../../../../src/dstack/client/retry-guard.ts';
import type { Fault, RetryGuard } from '../../../../src/dstack/client/retry-guard.ts';
import { CommandFailed } from '../../../../src/core/report.ts';
import type { Exit } from '../../../../src/core/transcript.ts';
import { grantConsent } from '../../../../src/safety/consent/consent.ts';
import { readFixture } from '../../../support/read-fixture.ts';
import { configOf, fakeDstack } from '../../../support/set-up-changes.ts';
import type { ChangesOptions, Output } from '../../../support/set-up-changes.ts';
import { refusal } from '../../../support/set-up-gate.ts';

function setUp(reads: Record<string, Output> = {}, options: Pick<ChangesOptions, 'defaultProject' | 'timeoutMs'> = {}) {
  const world: Parameters<typeof fakeDstack>[0] = {
    reads,
    changes: { stop: 'stop-stopped' },
    version: '0.22.5',
    judgesRequests: false,
    documented: '0.22.5',
    config: configOf('lab', 'prod'),
    env: {},
  };
  const fake = fakeDstack(world, options);
  const recorded: (Fault | undefined)[] = [];
  const known = createRetryGuard();
  const retryGuard: RetryGuard = {
    ...known,
    record(key, fault) {
      recorded.push(fault);
      known.record(key, fault);
    },
  };
  Object.assign(fake.sources, { retryGuard });
  return { ...fake, world, recorded, client: fake.openDstack() };
}

const PS = { command: 'ps' } as const;

const endedBy = (exit: Exit): Output => ({ ...readFixture('ps-running'), stdout: '', exit });

/** The argv that stops a run. Consent comes from the gate alone; a test of the client stands in for it. */
async function argvToStop(client: DstackClient): Promise<CheckedArgv<'destroy'>> {
  const argv = await client.check({ command: 'stop', flags: { '--yes': true }, positionals: ['lab-task'] });
  if (!hasEffect(argv, 'destroy')) throw new Error('a stop must count as destructive');
  return argv;
}

const consentTo = (argv: CheckedArgv) =>
  grantConsent({ operation: 'stop', level: 'token', planDigest: '', argv: argv.argv });

const noOptions = { project: undefined, requests: undefined };

test('a project that is not configured is refused before anything runs', async () => {
  const { client, ran } = setUp({ ps: 'ps-running' });
  const error = await refusal(client.read({ ...PS, flags: { '--project': 'made-up' } }));
  expect(error).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('Nothing was run.'),
    hint: expect.stringContaining('lab, prod'),
  });
  expect(ran).toEqual([]);
});

test('a project that is configured is passed on', async () => {
  const { client, ran } = setUp({ ps: 'ps-running' });
  await client.read({ ...PS, flags: { '--project': 'prod' } });
  expect(ran[0]?.argv).toEqual(['ps', '--project', 'prod']);
});

test("without a project the endpoint is the setting's, else dstack's default", async () => {
  expect(await setUp().client.endpoint(undefined)).toMatchObject({ project: 'lab' });
  expect(await setUp({}, { defaultProject: 'prod' }).client.endpoint(undefined)).toMatchObject({ project: 'prod' });
  expect(await setUp({}, { defaultProject: 'prod' }).client.endpoint('lab')).toMatchObject({ project: 'lab' });
});

test('one client resolves the CLI and the configuration once, another one again', async () => {
  const { client, world, openDstack } = setUp();
  await client.endpoint(undefined);
  await client.cli();
  world.version = '0.23.0';
  world.config = configOf('prod');
  expect((await client.cli()).version).toBe('0.22.5');
  expect(await client.endpoint(undefined)).toMatchObject({ project: 'lab' });
  const next = openDstack();
  expect((await next.cli()).version).toBe('0.23.0');
  expect(await next.endpoint(undefined)).toMatchObject({ project: 'prod' });
});

test('a command that changes something is not run as one that reads', async () => {
  const { client, ran } = setUp({ stop: 'stop-stopped' });
  const stop = client.read({ command: 'stop', flags: { '--yes': true }, positionals: ['lab-task'] });
  await expect(stop).rejects.toThrow(TypeError);
  expect(ran).toEqual([]);
});

test("dstack's refusal ends a call with its own words, and their code and hint", async () => {
  const { client } = setUp({ ps: 'error-unreachable' });
  const failed = await client.read(PS).catch((error: unknown) => error);
  if (!(failed instanceof CommandFailed)) throw new Error('expected a failed command', { cause: failed });
  expect(failed.report).toMatchObject({
    outcome: 'failed',
    summary: expect.stringContaining('Failed to connect to dstack server'),
    printed: [{ transcript: { stdout: readFixture('error-unreachable').stdout }, keep: 'end' }],
    facts: { code: 'unreachable' },
    next: expect.any(String),
  });
});

test('a failure that cannot pass by itself is not repeated: the first one is returned', async () => {
  const { client, ran, recorded } = setUp({ apply: 'error-key' });
  const plan = { command: 'apply', configurationType: 'task', flags: { '--file': 'a.dstack.yml' } };
  await expect(client.read(plan)).rejects.toThrow(CommandFailed);
  expect(recorded).toMatchObject([{ transient: false }]);
  expect(await refusal(client.read(plan))).toMatchObject({ code: 'retry-refused' });
  expect(ran).toHaveLength(1);
});

test.each<[string, Output]>([
  ['the server cannot be reached', 'error-unreachable'],
  ['there is no such run', 'run-get-not-found'],
  ['the token is refused', 'error-token'],
  ['the time was up', endedBy({ kind: 'timed-out', stillRunning: false })],
])('a failure that may pass is remembered as one: %s', async (_what, output) => {
  const { client, recorded } = setUp({ ps: output });
  await client.tryRead(PS);
  expect(recorded).toMatchObject([{ transient: true }]);
  expect((await refusal(client.read(PS))).hint).toContain('Wait 1 s');
});

test('a cancelled call says nothing about the next one', async () => {
  const { client, recorded, world } = setUp({ ps: endedBy({ kind: 'cancelled' }) });
  expect((await client.tryRead(PS)).failure).toMatchObject({ code: 'cancelled' });
  expect(recorded).toEqual([]);
  world.reads['ps'] = 'ps-running';
  expect((await client.read(PS)).stdout).toContain('lab-task');
});

test('a look-up of the current state is neither refused nor remembered', async () => {
  const { client, recorded, ran } = setUp({ ps: 'error-unreachable' });
  await client.tryRead(PS);
  expect((await client.tryRead(PS, { guarded: false })).failure).toBeDefined();
  expect(recorded).toHaveLength(1);
  expect(ran).toHaveLength(2);
});

test.each<[string, Parameters<DstackClient['tryRead']>[1]]>([
  ['bytes', { pinnedFile: { path: '/a', bytes: Buffer.from('b') } }],
  ['folder', { cwd: '/elsewhere' }],
  ['variables', { env: { HF_TOKEN: 'x' } }],
])('the same command with other %s is another call', async (_what, options) => {
  const { client, ran } = setUp({ ps: 'error-unreachable' });
  const first = { pinnedFile: { path: '/a', bytes: Buffer.from('a') } };
  await client.tryRead(PS, first);
  expect(await refusal(client.tryRead(PS, first))).toMatchObject({ code: 'retry-refused' });
  await client.tryRead(PS, options);
  expect(ran).toHaveLength(2);
});

test('a command gets the time that is left of the call, less what its answer needs', async () => {
  const { client, ran } = setUp({ ps: 'ps-running' }, { timeoutMs: 20_000 });
  await client.read(PS);
  expect(ran[0]?.options.timeoutMs).toBeGreaterThan(15_000);
  expect(ran[0]?.options.timeoutMs).toBeLessThanOrEqual(18_500);
  const late = setUp({ ps: 'ps-running' }, { timeoutMs: 0 });
  await late.client.read(PS);
  expect(late.ran[0]?.options.timeoutMs).toBe(1_000);
});

test('a change keeps time for looking at its result, and at least five seconds for itself', async () => {
  for (const [timeoutMs, least, most] of [
    [60_000, 50_000, 52_500],
    [0, 5_000, 5_000],
  ] as const) {
    const { client, ran } = setUp({}, { timeoutMs });
    const argv = await argvToStop(client);
    await client.change(argv, consentTo(argv), noOptions);
    expect(ran[0]?.options.timeoutMs).toBeGreaterThanOrEqual(least);
    expect(ran[0]?.options.timeoutMs).toBeLessThanOrEqual(most);
  }
});

test('a change cannot be cancelled by the call that makes it', async () => {
  const { client, ran } = setUp({ ps: 'ps-running' });
  await client.read(PS);
  const argv = await argvToStop(client);
  await client.change(argv, consentTo(argv), noOptions);
  expect(ran[0]?.options.signal).toBeInstanceOf(AbortSignal);
  expect(ran[1]?.options).not.toHaveProperty('signal');
});

test('after a change what could not be done before may be done', async () => {
  const { client, ran, progress } = setUp({ apply: 'error-key' });
  const plan = { command: 'apply', configurationType: 'task', flags: { '--file': 'a.dstack.yml' } };
  await client.tryRead(plan);
  const argv = await argvToStop(client);
  await client.change(argv, consentTo(argv), noOptions);
  await client.tryRead(plan);
  expect(ran.map(({ command }) => command)).toEqual(['apply', 'stop', 'apply']);
  expect(progress).toEqual(['dstack stop']);
});

test('without a consent for exactly this command nothing is changed', async () => {
  const { client, ran } = setUp();
  const argv = await argvToStop(client);
  const consent = consentTo(argv);
  await client.change(argv, consent, noOptions);
  expect(await refusal(client.change(argv, consent, noOptions))).toMatchObject({ code: 'consent-missing' });
  expect(ran).toHaveLength(1);
});

test('the verbatim help page of a command is returned, however the command is spelled', async () => {
  const { client, ran } = setUp();
  for (const command of ['run get', 'dstack run get', '  run   get ']) {
    const { transcript } = await client.helpPage(command);
    expect(transcript.command).toBe('dstack run get --help');
    expect(transcript.stdout).toMatch(/^Usage: dstack run get/);
  }
  expect(ran).toEqual([]);
});

test('the help page of a configuration type is the one of dstack', async () => {
  const { transcript } = await setUp().client.helpPage('apply', 'fleet');
  expect(transcript.command).toBe('dstack apply -h fleet');
  expect(transcript.stdout).toContain('dstack apply');
});

test('an empty command is the CLI itself, and an unknown one is refused', async () => {
  const { client } = setUp();
  expect((await client.helpPage('dstack')).transcript.command).toBe('dstack --help');
  expect(await refusal(client.helpPage('bogus'))).toMatchObject({ code: 'unknown-command' });
});

test('a log is read as it arrives, and from its start if dstack starts over', async () => {
  const { client } = setUp({
    logs: (_argv, { sink }) => {
      sink?.write(Buffer.from('of the worker that died\n'));
      sink?.reset();
      sink?.write(Buffer.from('line 1\nline '));
      sink?.write(Buffer.from('2\n'));
      return { ...readFixture('logs-running'), stdout: '' };
    },
  });
  const { page } = await client.readLog(
    { command: 'logs', positionals: ['lab-task'] },
    { lines: 10, maxBytes: 10_000, logKey: 'lab-task' },
  );
  expect(page).toMatchObject({ text: 'line 1\nline 2\n' });
});

test('the time for a person is what is left of the call', () => {
  const waitMs = setUp({}, { timeoutMs: 20_000 }).client.waitMs();
  expect(waitMs).toBeGreaterThan(15_000);
  expect(waitMs).toBeLessThanOrEqual(18_500);
});
