import { describe, expect, it } from 'vitest';
import type { Exit } from '../../../../src/core/transcript.ts';
import { FAILURE_TABLE } from '../../../../src/dstack/output/failure-table.ts';
import { readException, readFailure, readOutcome } from '../../../../src/dstack/output/read-outcome.ts';
import { tools } from '../../../../tools/index.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const CUT_OFF: readonly Exit[] = [
  { kind: 'timed-out', stillRunning: true },
  { kind: 'cancelled' },
  { kind: 'lost', reason: 'the worker vanished' },
  { kind: 'signalled', signal: 'SIGKILL' },
];

describe('an apply', () => {
  it.each([
    ['apply-task-created', 'done', 'lab-task'],
    ['apply-task-replaced', 'done', 'lab-task'],
    ['apply-task-updated', 'done', 'lab-task'],
    ['apply-task-none', 'nothing-to-do'],
    ['apply-service-created', 'done', 'lab-svc'],
    ['apply-no-offers', 'done', 'big'],
    ['apply-fleet-created', 'done'],
    ['apply-fleet-updated', 'done'],
    ['apply-fleet-replaced', 'done'],
    ['apply-fleet-none', 'nothing-to-do'],
    ['apply-volume-created', 'done'],
    ['apply-volume-none', 'nothing-to-do'],
    ['apply-gateway-create', 'done'],
    // Its words are a table: what dstack sent shows that it was made.
    ['apply-gateway-update', 'unknown'],
    ['apply-gateway-replace', 'done'],
    ['apply-gateway-none', 'nothing-to-do'],
    ['apply-gateway-no-support', 'blocked'],
    ['apply-service-no-gateway', 'blocked'],
    ['error-key', 'blocked'],
  ])('recorded as %s is %s', (fixture, outcome, name?: string) => {
    const read = readOutcome(readFixture(fixture));
    expect([read.outcome, read.name]).toEqual([outcome, name]);
  });

  it('with exit code 0 but without the expected line is unknown', () => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readOutcome({ ...transcript, stdout }).outcome).toBe('unknown');
    expect(readOutcome({ ...transcript, stdout: '' }).outcome).toBe('unknown');
    expect(readOutcome({ ...transcript, stdout: `${transcript.stdout}and one line more\n` }).outcome).toBe('unknown');
  });

  it('with another exit code is not done, even with the expected line', () => {
    expect(readOutcome({ ...readFixture('apply-task-created'), exit: { kind: 'exited', code: 1 } }).outcome).toBe(
      'failed',
    );
  });

  it.each(CUT_OFF)('that was cut off ($kind) before its last line is unknown', (exit) => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readOutcome({ ...transcript, stdout, exit }).outcome).toBe('unknown');
    expect(readOutcome({ ...transcript, stdout: '', exit: { kind: 'lost', reason: 'gone' } }).outcome).toBe('unknown');
  });

  it.each(CUT_OFF)('that was cut off ($kind) after its last line is done', (exit) => {
    expect(readOutcome({ ...readFixture('apply-task-created'), exit }).outcome).toBe('done');
  });

  it('that never started changed nothing', () => {
    const exit: Exit = { kind: 'not-started', reason: 'spawn dstack ENOENT' };
    expect(readOutcome({ ...readFixture('apply-task-replaced'), stdout: '', exit })).toMatchObject({
      outcome: 'failed',
      message: 'spawn dstack ENOENT',
    });
  });

  it.each([
    ['Failed to connect to dstack server http://127.0.0.1:3000', ''],
    ["KeyError: 'x'", 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'],
  ])('that failed with %s is unknown: it may have been made before', (message, trace) => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    const read = readOutcome({
      ...transcript,
      stdout,
      stderr: `${trace}${message}\n`,
      exit: { kind: 'exited', code: 1 },
    });
    expect(read).toMatchObject({ outcome: 'unknown', message });
  });
});

describe('a stop', () => {
  it.each([
    ['stop-stopped', 'done'],
    ['stop-aborted', 'done'],
    ['stop-eof', 'unknown'],
    ['stop-not-found', 'failed'],
  ])('recorded as %s is %s', (fixture, outcome) => {
    expect(readOutcome(readFixture(fixture)).outcome).toBe(outcome);
  });

  it.each(CUT_OFF)('that was cut off ($kind) is unknown', (exit) => {
    expect(readOutcome({ ...readFixture('stop-stopped'), stdout: '', exit }).outcome).toBe('unknown');
  });

  it('is unknown if the server became unreachable, possibly after the request', () => {
    expect(readOutcome(readFixture('error-unreachable')).outcome).toBe('unknown');
  });
});

describe('a deletion', () => {
  it.each([
    ['fleet-delete-instance', 'done'],
    ['volume-delete', 'done'],
    ['delete-run', 'done'],
    ['fleet-delete-in-use', 'blocked'],
    ['fleet-delete-not-found', 'failed'],
    ['volume-delete-not-found', 'failed'],
    ['gateway-delete-not-found', 'failed'],
  ])('recorded as %s is %s', (fixture, outcome) => {
    expect(readOutcome(readFixture(fixture)).outcome).toBe(outcome);
  });

  it('of a gateway is recognized by its table and last line', () => {
    const stdout =
      ' NAME    BACKEND  HOSTNAME  DOMAIN  DEFAULT  STATUS  \n lab-gw  aws                                running \n\nGateway deleted\n';
    expect(readOutcome({ ...readFixture('volume-delete'), stdout }).outcome).toBe('done');
  });
});

describe('a failure', () => {
  it.each([
    ['error-unreachable', 'unreachable', true],
    ['error-token', 'unauthorized', false],
    ['error-html', 'not-dstack', false],
    ['error-html-403', 'unauthorized', false],
    ['error-html-502', 'server-error', true],
    ['error-no-default-project', 'no-project', false],
    ['error-project-not-configured', 'no-project', false],
    ['error-env', 'missing-variable', false],
    ['error-key', 'invalid-file', false],
    ['error-typo', 'invalid-file', false],
    ['error-type', 'invalid-file', false],
    ['error-no-type', 'invalid-file', false],
    ['error-list', 'invalid-file', false],
    ['error-yaml', 'invalid-file', false],
    ['error-name', 'name-invalid', false],
    ['error-file-missing', 'missing-file', false],
    ['error-file-outside', 'outside-folder', false],
    ['error-profile', 'profile-not-found', false],
    ['error-unrecognized', 'usage', false],
    ['error-usage', 'usage', false],
    ['error-command', 'usage', false],
    ['error-no-argument', 'usage', false],
    ['error-since', 'usage', false],
    ['error-volume', 'not-found', false],
    ['stop-eof', 'no-answer', false],
    ['stop-not-found', 'not-found', false],
    ['run-get-not-found', 'not-found', false],
    ['fleet-get-not-found', 'not-found', false],
    ['volume-get-not-found', 'not-found', false],
    ['gateway-get-not-found', 'not-found', false],
    ['export-list', 'not-supported', false],
    ['fleet-delete-in-use', 'in-use', false],
  ])("recorded as %s is %s, in dstack's own words", (fixture, code, transient) => {
    const transcript = readFixture(fixture);
    const failure = readFailure(transcript);
    expect(failure).toMatchObject({ code, transient });
    expect(`${transcript.stdout}\n${transcript.stderr}`).toContain(failure?.message);
  });

  it.each(['0.20.29', '0.21.5'])('of dstack %s is recognized by the same messages', (version) => {
    const codes = [
      'error-env',
      'error-key',
      'error-typo',
      'error-name',
      'error-unreachable',
      'error-token',
      'error-no-default-project',
      'stop-not-found',
    ].map((name) => readFailure(readFixture(name, version))?.code);
    expect(codes).toEqual([
      'missing-variable',
      'invalid-file',
      'invalid-file',
      'name-invalid',
      'unreachable',
      'unauthorized',
      'no-project',
      'not-found',
    ]);
  });

  it("to parse a newer server's response is a version mismatch, not an invalid file", () => {
    expect(readFailure(readFixture('offer-group-gpu', '0.20.29'))).toMatchObject({ code: 'version-mismatch' });
  });

  it("in dstack's own configuration is not about the user's file", () => {
    const broken = readFixture('error-yaml');
    const stderr = broken.stderr.replace(/ in "[^"]+"/g, ' in "/home/me/.dstack/config.yml"');
    expect(stderr).not.toBe(broken.stderr);
    expect(readFailure({ ...broken, stderr })).toMatchObject({
      code: 'no-project',
      hint: expect.stringMatching(/config\.yml.*ask the user/),
    });
  });

  it('to know the server is about the configuration of dstack, not about its release', () => {
    const stdout =
      "dstack-mcp did not send this request (/api/project/main/runs/list): it isn't known which server it goes to.\n";
    expect(readFailure({ ...readFixture('error-env'), stdout, stderr: '' })).toMatchObject({
      code: 'no-project',
      hint: expect.stringContaining('config.yml'),
    });
  });

  it("is not detected in a job's log when the exit code is 0", () => {
    const logs = {
      ...readFixture('logs-running'),
      stdout: 'Failed to connect to dstack server http://x\nTraceback (most recent call last):\nEOFError\n',
    };
    expect(readFailure(logs)).toBeUndefined();
  });

  it('with an unknown message is quoted in full', () => {
    const transcript = { ...readFixture('error-env'), stdout: 'The moon is in the wrong phase\n' };
    expect(readFailure(transcript)).toMatchObject({
      code: 'unknown-error',
      outcome: 'failed',
      message: 'The moon is in the wrong phase',
    });
  });

  it('without output names the exit code', () => {
    expect(readFailure({ ...readFixture('error-env'), stdout: '' })?.message).toContain('exited with code 1');
  });

  it('names a tool as the next step, or what the user must do', () => {
    const step =
      /\b(?:plan|apply|ps|get|logs|stop|fleet|offer|config|write_config|help|doctor|delete|list|attach)\b|\buser\b/i;
    const without = FAILURE_TABLE.filter(({ hint }) => !step.test(hint)).map(({ code }) => code);
    expect(without).toEqual([]);
  });

  it('never names a tool that does not exist', () => {
    const underscored = tools.map(({ name }) => name).filter((name) => name.includes('_'));
    const misspelled = underscored.map((name) => name.replaceAll('_', '-'));
    const wrong = FAILURE_TABLE.filter(({ hint }) => misspelled.some((name) => hint.includes(name)));
    expect(wrong.map(({ code }) => code)).toEqual([]);
  });

  it('of a read that was cut off is transient, of a change never', () => {
    const transcript = {
      ...readFixture('error-env'),
      stdout: '',
      exit: { kind: 'timed-out', stillRunning: true } as const,
    };
    expect(readFailure(transcript)).toMatchObject({ outcome: 'failed', transient: true });
    expect(readFailure(transcript, 'change')).toMatchObject({ outcome: 'unknown', transient: false });
  });
});

describe('an exception', () => {
  it('is what follows the last traceback, with all its lines', () => {
    expect(readException(readFixture('error-yaml').stderr)).toMatch(
      /^yaml\.scanner\.ScannerError: mapping values are not allowed here\n {2}in /,
    );
    expect(readException(readFixture('error-html').stderr)).toBe(
      'requests.exceptions.JSONDecodeError: Expecting value: line 1 column 1 (char 0)',
    );
  });

  it('is absent without a traceback', () => {
    expect(readException('EOFError: EOF when reading a line')).toBeUndefined();
  });
});

// services/repos.py and services/configurators, in dstack 0.22.5.
it.each([
  ['Git repo not found: /w/..\nUse `files` to mount an arbitrary directory: https://dstack.ai', 'no-repository'],
  ["Git repo in 'detached HEAD' state: /w\nCheck out to a branch", 'no-repository'],
  ['Path does not exist: /w/none', 'no-repository'],
  ['Unable to read the SSH key at /home/u/.ssh/id_rsa', 'ssh-key'],
  ['Expected a private key at /home/u/.ssh/id.pub, got a public key', 'ssh-key'],
  ["Failed to interpolate due to missing vars: ['secrets.ngc_api_key']", 'missing-variable'],
  ["Path '/w/train.py' specified in `files` does not exist", 'missing-file'],
  [
    "Error pulling configuration for image 'ghcr.io/a/b:latest' from the docker registry: HTTPSConnectionPool(host='ghcr.io', port=443): Max retries exceeded",
    'image-unreadable',
  ],
])('what a plan needs on this computer is named: %s', (stdout, code) => {
  const { outcome, hint, ...failure } = readFailure({ ...readFixture('error-env'), stdout, stderr: '' }) ?? {};
  expect(failure).toMatchObject({ code, message: stdout.split('\n')[0] });
  expect([outcome, hint]).toEqual(['blocked', expect.stringContaining('plan again')]);
});
