import { describe, expect, it } from 'vitest';
import type { Exit } from '../../../../src/core/transcript.ts';
import { readApplyOutcome, readDeleteOutcome, readStopOutcome } from '../../../../src/dstack/output/read-outcome.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const CUT_OFF: readonly Exit[] = [
  { kind: 'timed-out', stillRunning: true },
  { kind: 'cancelled' },
  { kind: 'lost', reason: 'the worker vanished' },
  { kind: 'signalled', signal: 'SIGKILL' },
];

describe('an apply', () => {
  it.each([
    ['apply-task-created', 'done', 'submitted', 'run', 'lab-task'],
    ['apply-task-replaced', 'done', 'submitted', 'run', 'lab-task'],
    ['apply-task-updated', 'done', 'updated', 'run', 'lab-task'],
    ['apply-task-none', 'nothing-to-do', undefined, undefined, undefined],
    ['apply-service-created', 'done', 'submitted', 'run', 'lab-svc'],
    ['apply-no-offers', 'done', 'submitted', 'run', 'big'],
    ['apply-fleet-created', 'done', 'submitted', 'fleet', undefined],
    ['apply-fleet-updated', 'done', 'submitted', 'fleet', undefined],
    ['apply-fleet-replaced', 'done', 'submitted', 'fleet', undefined],
    ['apply-fleet-none', 'nothing-to-do', undefined, undefined, undefined],
    ['apply-volume-created', 'done', 'submitted', 'volume', undefined],
    ['apply-volume-none', 'nothing-to-do', undefined, undefined, undefined],
    ['apply-gateway-create', 'done', 'submitted', 'gateway', undefined],
    ['apply-gateway-update', 'done', 'updated', 'gateway', 'lab-gw'],
    ['apply-gateway-replace', 'done', 'submitted', 'gateway', undefined],
    ['apply-gateway-none', 'nothing-to-do', undefined, undefined, undefined],
    ['apply-gateway-no-support', 'blocked', undefined, undefined, undefined],
    ['apply-service-no-gateway', 'blocked', undefined, undefined, undefined],
    ['plan-task-create', 'nothing-to-do', undefined, undefined, undefined],
    ['error-key', 'blocked', undefined, undefined, undefined],
  ])('recorded as %s is %s', (fixture, outcome, did, kind, name) => {
    const read = readApplyOutcome(readFixture(fixture));
    expect([read.outcome, read.did, read.kind, read.name]).toEqual([outcome, did, kind, name]);
  });

  it('with exit code 0 but without the expected line is unknown', () => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readApplyOutcome({ ...transcript, stdout }).outcome).toBe('unknown');
    expect(readApplyOutcome({ ...transcript, stdout: '' }).outcome).toBe('unknown');
    expect(readApplyOutcome({ ...transcript, stdout: `${transcript.stdout}and one line more\n` }).outcome).toBe(
      'unknown',
    );
  });

  it('with another exit code is not done, even with the expected line', () => {
    expect(readApplyOutcome({ ...readFixture('apply-task-created'), exit: { kind: 'exited', code: 1 } }).outcome).toBe(
      'failed',
    );
  });

  it.each(CUT_OFF)('that was cut off ($kind) before its last line is unknown', (exit) => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readApplyOutcome({ ...transcript, stdout, exit }).outcome).toBe('unknown');
    expect(readApplyOutcome({ ...transcript, stdout: '', exit: { kind: 'lost', reason: 'gone' } }).outcome).toBe(
      'unknown',
    );
  });

  it.each(CUT_OFF)('that was cut off ($kind) after its last line is done', (exit) => {
    expect(readApplyOutcome({ ...readFixture('apply-task-created'), exit })).toMatchObject({
      outcome: 'done',
      did: 'submitted',
    });
  });

  it('that never started changed nothing', () => {
    const exit: Exit = { kind: 'not-started', reason: 'spawn dstack ENOENT' };
    expect(readApplyOutcome({ ...readFixture('apply-task-replaced'), stdout: '', exit })).toMatchObject({
      outcome: 'failed',
      failure: { code: 'not-started' },
    });
  });

  it('whose server was unreachable failed, or is unknown once the plan was shown', () => {
    const words = 'Failed to connect to dstack server http://127.0.0.1:3000\n';
    const exit: Exit = { kind: 'exited', code: 1 };
    const transcript = readFixture('apply-task-created');
    expect(readApplyOutcome({ ...transcript, stdout: words, exit })).toMatchObject({
      outcome: 'failed',
      failure: { code: 'unreachable', transient: true },
    });
    const late = transcript.stdout.replace('Run lab-task submitted, detaching...\n', words);
    expect(readApplyOutcome({ ...transcript, stdout: late, exit })).toMatchObject({
      outcome: 'unknown',
      failure: { code: 'unreachable' },
    });
  });

  it('that failed during a replace is unknown, since the existing resource may be gone', () => {
    for (const [fixture, last] of [
      ['apply-task-replaced', 'Run lab-task submitted, detaching...\n'],
      ['apply-fleet-replaced', 'Fleet configuration submitted. Exiting...\n'],
    ] as const) {
      const transcript = readFixture(fixture);
      const stdout = transcript.stdout.replace(last, 'The quota of this project is used up\n');
      const read = readApplyOutcome({ ...transcript, stdout, exit: { kind: 'exited', code: 1 } });
      expect(read).toMatchObject({ outcome: 'unknown', message: 'The quota of this project is used up' });
      expect(read.hint).toContain('may already have been stopped or deleted');
    }
  });

  it('that crashed with a traceback failed before its plan, and is unknown after it', () => {
    const trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nKeyError: \'x\'\n';
    const exit: Exit = { kind: 'exited', code: 1 };
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readApplyOutcome({ ...transcript, stdout: '', stderr: trace, exit })).toMatchObject({
      outcome: 'failed',
      message: "KeyError: 'x'",
    });
    expect(readApplyOutcome({ ...transcript, stdout, stderr: trace, exit })).toMatchObject({
      outcome: 'unknown',
      failure: { code: 'traceback' },
    });
  });
});

describe('a stop', () => {
  it.each([
    ['stop-stopped', 'done', 'stopped'],
    ['stop-aborted', 'done', 'aborted'],
    ['stop-declined', 'nothing-to-do', undefined],
    ['stop-eof', 'unknown', undefined],
    ['stop-not-found', 'failed', undefined],
  ])('recorded as %s is %s', (fixture, outcome, did) => {
    const read = readStopOutcome(readFixture(fixture));
    expect([read.outcome, read.did]).toEqual([outcome, did]);
  });

  it.each(CUT_OFF)('that was cut off ($kind) is unknown', (exit) => {
    expect(readStopOutcome({ ...readFixture('stop-stopped'), stdout: '', exit }).outcome).toBe('unknown');
  });

  it('is unknown if the server became unreachable, possibly after the request', () => {
    expect(readStopOutcome(readFixture('error-unreachable')).outcome).toBe('unknown');
  });
});

describe('a deletion', () => {
  it.each([
    ['fleet-delete-instance', 'done', 'instances-deleted', 'fleet', 'lab-cloud'],
    ['volume-delete', 'done', 'deleted', 'volume', 'lab-vol'],
    ['delete-run', 'done', 'deleted', 'run', 'lab-task'],
    ['fleet-delete-declined', 'nothing-to-do', undefined, undefined, undefined],
    ['volume-delete-declined', 'nothing-to-do', undefined, undefined, undefined],
    ['fleet-delete-in-use', 'blocked', undefined, undefined, undefined],
    ['fleet-delete-not-found', 'failed', undefined, undefined, undefined],
    ['volume-delete-not-found', 'failed', undefined, undefined, undefined],
    ['gateway-delete-not-found', 'failed', undefined, undefined, undefined],
  ])('recorded as %s is %s', (fixture, outcome, did, kind, name) => {
    const read = readDeleteOutcome(readFixture(fixture));
    expect([read.outcome, read.did, read.kind, read.name]).toEqual([outcome, did, kind, name]);
  });

  it('of a gateway is recognized by its table and last line', () => {
    const stdout =
      ' NAME    BACKEND  HOSTNAME  DOMAIN  DEFAULT  STATUS  \n lab-gw  aws                                running \n\nGateway deleted\n';
    expect(readDeleteOutcome({ ...readFixture('volume-delete'), stdout })).toMatchObject({
      outcome: 'done',
      did: 'deleted',
      kind: 'gateway',
    });
  });
});
