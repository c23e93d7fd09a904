import { expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { CommandFailed } from '../../../../src/core/report.ts';
import type { Exit } from '../../../../src/core/transcript.ts';
import { hasEffect } from '../../../../src/dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../../../../src/dstack/argv/command.ts';
import { createRetryGuard } from '../../../../src/dstack/client/retry-guard.ts';
import type { DstackClient } from '../../../../src/dstack/client/dstack-client.ts';
import type { Fault, RetryGuard } from '../../../../src/dstack/client/retry-guard.ts';
import { FAILURE_TABLE } from '../../../../src/dstack/output/failure-table.ts';
import type { Failure } from '../../../../src/dstack/output/read-outcome.ts';
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
    isPython: false,
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

const printed = (stdout: string, stderr = ''): Output => ({ ...readFixture('error-env'), stdout, stderr });

/** The argv that stops a run. Consent comes from the gate alone; a test of the client replaces it. */
async function argvToStop(client: DstackClient): Promise<CheckedArgv<'change'>> {
  const argv = await client.check({ command: 'stop', flags: { '--yes': true }, positionals: ['lab-task'] });
  if (!hasEffect(argv, 'change')) throw new Error('a stop must count as a change');
  return argv;
}

const consentTo = (argv: CheckedArgv) => grantConsent({ level: 'token', argv: argv.argv });

const noOptions = { project: undefined, requests: undefined };

test('a project that is not configured is refused before anything runs', async () => {
  const { client, ran } = setUp({ ps: 'ps-running' });
  const error = await refusal(client.read({ ...PS, flags: { '--project': 'made-up' } }));
  expect(error).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('Nothing was run.'),
    hint: expect.stringContaining('lab, prod'),
  });
  expect(await refusal(client.check({ ...PS, flags: { '--project': 'made-up' } }))).toMatchObject({ code: 'policy' });
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

const PLAN = { command: 'apply', configurationType: 'task', flags: { '--file': 'a.dstack.yml' } } as const;

test.each<[string, Output]>([
  ['a configuration that the schema rejects', 'error-key'],
  ['a name that no resource may have', 'error-name'],
  ['arguments that the command does not accept', 'error-usage'],
])('is not repeated with the same flags and file: %s', async (_what, output) => {
  const { client, ran, recorded } = setUp({ apply: output });
  await expect(client.read(PLAN)).rejects.toThrow(CommandFailed);
  expect(recorded).toMatchObject([{ transient: false }]);
  expect(await refusal(client.read(PLAN))).toMatchObject({ code: 'retry-refused' });
  expect(ran).toHaveLength(1);
});

test('after an upgrade of dstack, the same command is another call', async () => {
  const { client, ran, world, openDstack } = setUp({ apply: 'error-usage' });
  await client.tryRead(PLAN);
  world.version = '0.23.0';
  await openDstack().tryRead(PLAN);
  expect(ran).toHaveLength(2);
});

const SERVER_IS_BUSY = printed('Fleet lab-cloud is being processed currently. Try again later.');

test.each<[string, Output]>([
  ['the server cannot be reached', 'error-unreachable'],
  ['the server fails', 'error-html-502'],
  ['the server is busy', SERVER_IS_BUSY],
])('is repeated only after a short pause: %s', async (_what, output) => {
  const { client, recorded } = setUp({ ps: output });
  await client.tryRead(PS);
  expect(recorded).toMatchObject([{ transient: true }]);
  expect((await refusal(client.read(PS))).hint).toContain('Wait 1 s');
});

/** Failures that anybody may fix from one moment to the next, by their code. */
const FIXABLE: Readonly<Partial<Record<Failure['code'], Output>>> = {
  'no-gateway': printed('The service requires a gateway, but there is none.'),
  'missing-file': 'error-file-missing',
  'outside-folder': 'error-file-outside',
  'missing-variable': 'error-env',
  'not-found': 'run-get-not-found',
  'already-exists': printed('Resource exists'),
  'in-use': 'fleet-delete-in-use',
  'not-supported': 'export-list',
  'profile-not-found': 'error-profile',
  'git-credentials': printed('No valid default Git credentials found for the repo.'),
  'no-repository': printed('Git repo not found: /w'),
  'ssh-key': printed('Unable to read the SSH key at /home/u/.ssh/id_rsa'),
  'image-unreadable': printed("Error pulling configuration for image 'a/b:c' from the docker registry: 404"),
  'no-project': 'error-no-default-project',
  unauthorized: 'error-token',
  'not-dstack': 'error-html',
  'not-sent': printed(
    'dstack-mcp did not send this request (runs/archive): no consent covers it, or it was sent before.',
  ),
  'version-mismatch': printed('Status code 404 when requesting http://127.0.0.1:3999/api/x'),
  'no-answer': 'stop-eof',
  traceback: printed('', 'Traceback (most recent call last):\n  File "a.py"\nKeyError: 1'),
  interrupted: endedBy({ kind: 'signalled', signal: 'SIGTERM' }),
  'not-started': endedBy({ kind: 'not-started', reason: 'timed out waiting for other dstack commands' }),
  'timed-out': endedBy({ kind: 'timed-out', stillRunning: false }),
  'files-changed': printed(
    "dstack-mcp did not send this request (files/upload_archive): the files aren't those that were checked.",
  ),
  cancelled: endedBy({ kind: 'cancelled' }),
  'unknown-error': printed('Quota exceeded in region eu-north'),
};

test.each(Object.entries(FIXABLE))('is repeated at once, since it may have been fixed: %s', async (code, output) => {
  const { client, world } = setUp({ ps: output });
  expect((await client.tryRead(PS)).failure).toMatchObject({ code });
  world.reads['ps'] = 'ps-running';
  expect((await client.read(PS)).stdout).toContain('lab-task');
});

test.each<[string, Output]>([
  ['a file that `files` names was added', 'error-files'],
  ['the repository was created', 'error-repo'],
  ['the file of another program was corrected', 'error-yaml'],
  ['a port was freed', printed('Port 8000 is already in use')],
  ['the server was configured', printed('Server validation error: the backend is not configured')],
  ['whatever a server in unknown words refused', printed('Unexpected error: status code 400 when requesting http://x')],
  ['the server is one process that was lost', endedBy({ kind: 'lost', reason: 'the worker died' })],
])('a plan is made again at once after %s', async (_what, output) => {
  const { client, world } = setUp({ apply: output });
  expect((await client.tryRead(PLAN)).failure).toBeDefined();
  world.reads['apply'] = 'plan-task-create';
  expect((await client.read(PLAN)).stdout).toContain('lab-task');
});

test('every failure that dstack reports is either fixed by its inputs alone, passes soon, or can be fixed by somebody', () => {
  const withTraits = (...wanted: readonly string[]) =>
    FAILURE_TABLE.filter(({ traits = [] }) => traits.some((trait) => wanted.includes(trait))).map(({ code }) => code);
  const known = new Set([...withTraits('permanent', 'transient'), ...Object.keys(FIXABLE)]);
  expect(FAILURE_TABLE.filter(({ code }) => !known.has(code))).toEqual([]);
  expect(FAILURE_TABLE.filter(({ traits }) => traits?.includes('permanent') && traits.includes('transient'))).toEqual(
    [],
  );
  const permanent = withTraits('permanent');
  expect(permanent).toEqual(['name-invalid', 'invalid-file', 'usage']);
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
    const { transcript } = await client.help(command);
    expect(transcript.command).toBe('dstack run get --help');
    expect(transcript.stdout).toMatch(/^Usage: dstack run get/);
  }
  expect(ran).toEqual([]);
});

test('the help page of a configuration type is the one of dstack', async () => {
  const { transcript } = await setUp().client.help('apply', 'fleet');
  expect(transcript.command).toBe('dstack apply -h fleet');
  expect(transcript.stdout).toContain('dstack apply');
});

test('an empty command is the CLI itself, and an unknown one is refused', async () => {
  const { client } = setUp();
  expect((await client.help('dstack')).transcript.command).toBe('dstack --help');
  expect(await refusal(client.help('bogus'))).toMatchObject({ code: 'unknown-command' });
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

test('a log that is too long for the time of the call is read in part; nothing of it is a failure', async () => {
  const timedOut = {
    ...readFixture('logs-running'),
    stdout: '',
    exit: { kind: 'timed-out', stillRunning: false },
  } as const;
  const request = [
    { command: 'logs', positionals: ['lab-task'] },
    { lines: 10, maxBytes: 10_000, logKey: 'x' },
  ] as const;
  const part = setUp({
    logs: (_argv, { sink }) => {
      sink?.write(Buffer.from('line 1\nline 2\n'));
      return timedOut;
    },
  });
  expect(await part.client.readLog(...request)).toMatchObject({ isWhole: false, page: { text: 'line 1\nline 2\n' } });
  await expect(setUp({ logs: timedOut }).client.readLog(...request)).rejects.toThrow(/time limit/);
});

test('the time for a person is what is left of the call', () => {
  const waitMs = setUp({}, { timeoutMs: 20_000 }).client.waitMs();
  expect(waitMs).toBeGreaterThan(15_000);
  expect(waitMs).toBeLessThanOrEqual(18_500);
});

const permanent: Fault = {
  message: 'Unrecognized arguments: --bogus',
  hint: 'Use help to see what this command accepts.',
  transient: false,
};
const passing: Fault = { message: 'Connection refused', hint: 'Is the server up?', transient: true };

function setUpGuard() {
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
  const { guard, check } = setUpGuard();
  expect(check('get train')).toBeUndefined();
  guard.record('get train', permanent);
  expect(check('get train')).toMatchObject({
    code: 'retry-refused',
    message: expect.stringContaining('Unrecognized arguments: --bogus'),
    hint: expect.stringContaining('Use help to see what this command accepts.'),
  });
});

test('other inputs are another call', () => {
  const { guard, check } = setUpGuard();
  guard.record('get train', permanent);
  expect(check('get trainer')).toBeUndefined();
});

test('it can be retried after exactly ten minutes', () => {
  const { guard, check, pass } = setUpGuard();
  guard.record('k', permanent);
  pass(10 * 60_000 - 1);
  expect(check('k')).toBeDefined();
  pass(1);
  expect(check('k')).toBeUndefined();
});

test('it can be retried after something was changed', () => {
  const { guard, check } = setUpGuard();
  guard.record('k', permanent);
  guard.worldChanged();
  expect(check('k')).toBeUndefined();
});

test('a transient failure can be retried after a pause that grows up to ten seconds', () => {
  const { guard, check, pass } = setUpGuard();
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
  const { guard, check, pass } = setUpGuard();
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
  const { guard, check, pass } = setUpGuard();
  for (let count = 0; count < 5; count += 1) guard.record('k', passing);
  pass(60 * 60_000);
  guard.record('k', passing);
  pass(1_000);
  expect(check('k')).toBeUndefined();
});

test('memory is bounded: the oldest failure is forgotten', () => {
  const { guard, check } = setUpGuard();
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
  const { guard, check, pass } = setUpGuard();
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
  const { guard, check, pass } = setUpGuard();
  guard.record('k', passing);
  pass(10 * 60_000 + 999);
  guard.record('k', passing);
  expect(check('k')?.hint).toContain('Wait 2 s');
  pass(2_000 + 10 * 60_000);
  guard.record('k', passing);
  expect(check('k')?.hint).toContain('Wait 1 s');
});

test('a change does not shorten the pause after a transient failure', () => {
  const { guard, check } = setUpGuard();
  guard.record('k', passing);
  guard.worldChanged();
  expect(check('k')?.message).toContain('has just failed');
});

test('it defaults to the monotonic clock of the process', () => {
  const guard = createRetryGuard();
  guard.record('k', permanent);
  expect(refusalOf(guard, 'k')?.message).toContain('fails every time with the same flags and file');
});
